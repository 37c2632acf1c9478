"""Embedding against `SentenceTransformer.encode` with its defaults, in one run.

    python tests/benchmarks/compute_inference.py TEXTS.jsonl [--rows 600] [--repeats 5]

Ours and theirs alternate, medians are compared; the vectors must agree to cosine 0.999.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from imfl_engine.compute.embed import vectors_of
from imfl_engine.compute.job import Job
from imfl_engine.compute.models import Workshop, resolve

clock = time.perf_counter


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("texts", type=Path)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="for a machine that others use too")
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock = time.process_time
    lines = options.texts.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines][: options.rows]
    workshop = Workshop.open(options.device, options.threads, Path(tempfile.gettempdir()))
    job = Job(0, Path(tempfile.mkdtemp()), lambda message: None)
    reference = SentenceTransformer(resolve("minilm"), device=str(workshop.device.torch_device))
    vectors_of(job, workshop, texts[:64], "minilm")
    reference.encode(texts[:64])
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(options.repeats):
        start = clock()
        found = vectors_of(job, workshop, texts, "minilm")
        ours.append(clock() - start)
        start = clock()
        expected = np.asarray(reference.encode(texts))
        theirs.append(clock() - start)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    ratio = statistics.median([b / a for a, b in zip(ours, theirs, strict=True)])
    print(f"device                       {workshop.device.name}, {workshop.device.dtype}")
    print(f"ours                         {len(texts) / statistics.median(ours):7.1f} texts/s")
    print(f"SentenceTransformer.encode   {len(texts) / statistics.median(theirs):7.1f} texts/s")
    print(f"ratio                        {ratio:7.2f}")
    print(f"smallest cosine              {(found * expected).sum(1).min():7.5f}")


if __name__ == "__main__":
    main()
