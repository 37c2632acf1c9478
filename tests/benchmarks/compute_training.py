"""MiniLM fine-tuning against the Hugging Face Trainer with its defaults, in one run.

    python tests/benchmarks/compute_training.py TRAIN.jsonl [--rows 320] [--repeats 5]

Same rows, epochs, batch size and learning rate; ours and theirs alternate, medians are compared.
Prints samples per second, the ratio, and the share of what a bare matrix product reaches.
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
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from imfl_engine.compute import finetune
from imfl_engine.compute.job import Job
from imfl_engine.compute.models import Workshop, resolve
from imfl_engine.compute.tokens import encode
from imfl_engine.compute.wire import ModelInput, TrainingJob

LEARNING_RATE = 1e-4
BODY_PARAMETERS = 6 * (4 * 384 * 384 + 2 * 384 * 1536)

clock = time.perf_counter


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--frozen", type=int, default=0, help="lower layers ours does not train")
    parser.add_argument("--cpu-time", action="store_true", help="for a machine that others use too")
    options = parser.parse_args()
    if options.cpu_time:
        global clock
        clock = time.process_time
    lines = options.train.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines][: options.rows]
    labels = sorted({row["label"] for row in rows})
    workshop = Workshop.open(options.device, options.threads, Path(tempfile.gettempdir()))
    ours: list[float] = []
    theirs: list[float] = []
    for repeat in range(options.repeats):
        ours.append(our_seconds(workshop, rows, labels, repeat, options))
        theirs.append(trainer_seconds(rows, labels, repeat, options))
        print(f"  run {repeat + 1}: ours {ours[-1]:.1f} s, Trainer {theirs[-1]:.1f} s", flush=True)
    tokenizer = workshop.encoder("minilm")[1]
    tokens = encode(
        tokenizer, [ModelInput(row["text"]) for row in rows], max_length=256, task="classification"
    )
    tokens_trained = int(tokens.lengths.sum()) * options.epochs
    flops = 6 * BODY_PARAMETERS * tokens_trained / statistics.median(ours)
    peak = matmul_flops(workshop)
    samples = len(rows) * options.epochs
    ratio = statistics.median([b / a for a, b in zip(ours, theirs, strict=True)])
    print(f"device             {workshop.device.name}, {workshop.device.dtype}")
    print(f"ours               {samples / statistics.median(ours):7.1f} samples/s")
    print(f"Trainer, defaults  {samples / statistics.median(theirs):7.1f} samples/s")
    print(f"ratio              {ratio:7.2f}")
    if not options.frozen:
        print(f"share of matmul    {flops / peak:7.1%} of {peak / 1e9:.0f} GFLOP/s")


def our_seconds(
    workshop: Workshop,
    rows: list[dict[str, str]],
    labels: list[str],
    seed: int,
    options: argparse.Namespace,
) -> float:
    """A fine-tune by `finetune.fit_encoder`, tokenisation included."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(0, Path(folder), lambda message: None)
        spec = TrainingJob(
            folder=Path(folder) / "model",
            inputs=[ModelInput(row["text"]) for row in rows],
            targets=np.eye(len(labels), dtype=np.float32)[[labels.index(r["label"]) for r in rows]],
            weights=np.ones(len(rows), dtype=np.float32),
            labels=tuple(labels),
            kind="classification",
            target="minilm",
            validation=np.zeros(len(rows), dtype=bool),
            seed=seed,
            epochs=options.epochs,
            batch_size=options.batch,
            frozen_layers=options.frozen,
            learning_rate=LEARNING_RATE,
        )
        workshop.encoder("minilm")
        start = clock()
        finetune.fit_encoder(job, workshop, spec)
        return clock() - start


def trainer_seconds(
    rows: list[dict[str, str]], labels: list[str], seed: int, options: argparse.Namespace
) -> float:
    """A fine-tune by the Trainer, tokenisation included, model loading not."""
    source = resolve("minilm")
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(labels))
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=options.epochs,
            per_device_train_batch_size=options.batch,
            learning_rate=LEARNING_RATE,
            seed=seed,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            use_cpu=options.device == "cpu",
        )
        start = clock()
        data = [
            {**tokenizer(row["text"], truncation=True, max_length=256), "label": label}
            for row, label in ((row, labels.index(row["label"])) for row in rows)
        ]
        Trainer(
            model=model,
            args=arguments,
            train_dataset=data,
            data_collator=DataCollatorWithPadding(tokenizer),
        ).train()
        return clock() - start


def matmul_flops(workshop: Workshop) -> float:
    """FLOP/s of a bare 1024x384 by 384x1536 product in the number format that is used."""
    device, dtype = workshop.device.torch_device, workshop.device.dtype
    left = torch.randn(1024, 384, device=device, dtype=dtype)
    right = torch.randn(384, 1536, device=device, dtype=dtype)
    seconds = []
    for _ in range(30):
        start = clock()
        for _ in range(10):
            left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append((clock() - start) / 10)
    return 2 * 1024 * 384 * 1536 / statistics.median(seconds)


if __name__ == "__main__":
    main()
