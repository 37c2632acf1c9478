"""MiniLM fine-tuning against the Hugging Face Trainer with its defaults, in one run.

    python tests/benchmarks/compute_training.py TRAIN.jsonl [--rows 320] [--repeats 5] [--test TEST.jsonl]

Same rows, epochs, batch size and learning rate; ours, theirs and a bare matrix product alternate,
medians are compared. Prints samples per second, the ratio, and the share of what the bare product
reaches: 6 floating-point operations per weight and token of the texts, padding not counted. With
``--test`` also the accuracy of both there, a seed a repeat. The time left that is told after a tenth
of a run is compared with the time it took, and so is all that is told until nine tenths. The Trainer
has a process of its own, so that it gets nothing of how ours is set up.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

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
from imfl_engine.compute.predict import probabilities
from imfl_engine.compute.tokens import encode
from imfl_engine.compute.wire import ModelInput, TrainingJob

LEARNING_RATE = 1e-4
BODY_PARAMETERS = 6 * (4 * 384 * 384 + 2 * 384 * 1536)

Rows = list[dict[str, str]]
Told = tuple[float, float, float | None]
"""When a progress event came (s), the share of the steps that was done, and the seconds left."""


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("train", type=Path)
    parser.add_argument("--rows", type=int, default=320)
    parser.add_argument("--batch", type=int, default=finetune.RECIPE.batch_size)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--frozen", type=int, default=0, help="lower layers ours does not train")
    parser.add_argument("--test", type=Path, help="rows to measure the accuracy of both on")
    options = parser.parse_args()
    rows = read(options.train)
    random.Random(0).shuffle(rows)  # files may be sorted by label
    rows = rows[: options.rows]
    test = read(options.test) if options.test else []
    labels = sorted({row["label"] for row in rows})
    workshop = Workshop.open(options.device, options.threads, Path(tempfile.gettempdir()))
    ours: list[float] = []
    theirs: list[float] = []
    peaks: list[float] = []
    accuracies: list[tuple[float, float]] = []
    misses: list[tuple[float, float]] = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as other:
        for repeat in range(options.repeats):
            told: list[Told] = []
            seconds, accuracy = our_run(workshop, rows, test, labels, repeat, options, told)
            misses.append(eta_misses(told))
            peaks.append(matmul_flops(workshop))
            run = other.submit(trainer_run, rows, test, labels, repeat, options)
            trainer_seconds, trainer_accuracy = run.result()
            ours.append(seconds)
            theirs.append(trainer_seconds)
            accuracies.append((accuracy, trainer_accuracy))
            print(
                f"  run {repeat + 1}: ours {seconds:.1f} s, Trainer {trainer_seconds:.1f} s",
                flush=True,
            )
    tokenizer = workshop.encoder("minilm")[1]
    tokens = encode(
        tokenizer, [ModelInput(row["text"]) for row in rows], max_length=256, task="classification"
    )
    tokens_trained = int(tokens.lengths.sum()) * options.epochs
    flops = 6 * BODY_PARAMETERS * tokens_trained
    shares = [flops / seconds / peak for seconds, peak in zip(ours, peaks, strict=True)]
    samples = len(rows) * options.epochs
    ratio = statistics.median([b / a for a, b in zip(ours, theirs, strict=True)])
    print(f"device             {workshop.device.name}, {workshop.device.dtype}")
    print(f"ours               {samples / statistics.median(ours):7.1f} samples/s")
    print(f"Trainer, defaults  {samples / statistics.median(theirs):7.1f} samples/s")
    print(f"ratio              {ratio:7.2f}")
    if test:
        found, reference = np.array(accuracies).T
        print(f"accuracy           {found.mean():7.3f} ± {found.std():.3f}, of {len(test)}")
        print(f"Trainer's          {reference.mean():7.3f} ± {reference.std():.3f}")
    first, worst = (statistics.median(values) for values in zip(*misses, strict=True))
    print(f"time left, off by  {first:7.1%} after a tenth, {worst:.1%} at most until nine tenths")
    if not options.frozen:
        peak = statistics.median(peaks)
        print(f"share of matmul    {statistics.median(shares):7.1%} of {peak / 1e9:.0f} GFLOP/s")


def read(path: Path) -> Rows:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def our_run(
    workshop: Workshop,
    rows: Rows,
    test: Rows,
    labels: list[str],
    seed: int,
    options: argparse.Namespace,
    told: list[Told],
) -> tuple[float, float]:
    """Seconds of a fine-tune by `finetune.fit_encoder`, tokenisation included, and its accuracy."""

    def listen(message: dict[str, Any]) -> None:
        if message["event"] == "training":
            values = message["values"]
            done = values["step"] / values["total"]
            told.append((time.perf_counter(), done, values["eta_seconds"]))

    with tempfile.TemporaryDirectory() as folder:
        job = Job(0, Path(folder), listen)
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
        start = time.perf_counter()
        trained, _ = finetune.fit_encoder(job, workshop, spec)
        seconds = time.perf_counter() - start
        hits = 0
        inputs = [ModelInput(row["text"]) for row in test]
        for places, values in probabilities(job, workshop, trained, inputs, None, 0):
            gold = [labels.index(test[place]["label"]) for place in places]
            hits += int((values.argmax(1) == gold).sum())
        return seconds, hits / max(1, len(test))


def eta_misses(told: list[Told]) -> tuple[float, float]:
    """How far the time left was off, as a share of itself: after a tenth, and at most until 90 %."""
    end = told[-1][0]
    misses = [
        abs(eta / (end - now) - 1)
        for now, done, eta in told
        if 0.1 <= done <= 0.9 and eta is not None
    ]
    return misses[0], max(misses)


def trainer_run(
    rows: Rows, test: Rows, labels: list[str], seed: int, options: argparse.Namespace
) -> tuple[float, float]:
    """Seconds of a fine-tune by the Trainer, tokenisation included, loading not; and its accuracy."""
    torch.set_num_threads(options.threads)
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
            use_cpu=options.device.startswith("cpu"),
        )

        def tokenised(some: Rows) -> list[dict[str, Any]]:
            return [
                {
                    **tokenizer(row["text"], truncation=True, max_length=256),
                    "label": labels.index(row["label"]),
                }
                for row in some
            ]

        start = time.perf_counter()
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=tokenised(rows),
            data_collator=DataCollatorWithPadding(tokenizer),
        )
        trainer.train()
        seconds = time.perf_counter() - start
        if not test:
            return seconds, 0.0
        found = trainer.predict(tokenised(test))
        return seconds, float((found.predictions.argmax(1) == found.label_ids).mean())


def matmul_flops(workshop: Workshop) -> float:
    """FLOP/s of a bare 1024x384 by 384x1536 product in the number format that is used."""
    device, dtype = workshop.device.torch_device, workshop.device.dtype
    left = torch.randn(1024, 384, device=device, dtype=dtype)
    right = torch.randn(384, 1536, device=device, dtype=dtype)
    seconds = []
    for _ in range(30):
        start = time.perf_counter()
        for _ in range(10):
            left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / 10)
    return 2 * 1024 * 384 * 1536 / statistics.median(seconds)


if __name__ == "__main__":
    main()
