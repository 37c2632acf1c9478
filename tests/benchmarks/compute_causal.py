"""A causal language model with LoRA against the Hugging Face Trainer with its defaults, in one run.

    python tests/benchmarks/compute_causal.py TRAIN.jsonl [--device cuda] [--width 1024 --layers 16]

The model is a Llama of random weights (speed does not depend on them; 0.27 billion parameters by
default), its tokenizer is made from the texts. Same rows, adapter, epochs, batch size and learning
rate; ours, theirs and a bare matrix product alternate, medians are compared. Prints tokens per second
of both, padding not counted, the ratio, and the share of what the bare product reaches: 4 operations
per weight of the base and token, as no gradient of those weights is computed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from imfl_engine.compute import causal
from imfl_engine.compute.job import Job
from imfl_engine.compute.models import Workshop, load_tokenizer
from imfl_engine.compute.wire import ModelInput, TrainingJob

LEARNING_RATE = 3e-4
LONGEST = 256


def write_model(folder: Path, texts: list[str], width: int, layers: int) -> int:
    """A Llama of random weights and a byte-level tokenizer; returns the weights of its layers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "</s>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=8000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="</s>",
        model_max_length=LONGEST,
    ).save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        max_position_embeddings=LONGEST,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return sum(weights.numel() for weights in model.model.layers.parameters())


def our_seconds(workshop: Workshop, folder: Path, rows: Any, labels: Any, options: Any) -> float:
    """Seconds of a fine-tune by `causal.fit`, loading and tokenisation included."""
    places = [labels.index(row["label"]) for row in rows]
    spec = TrainingJob(
        folder=folder / "trained",
        inputs=[ModelInput(row["text"]) for row in rows],
        targets=np.eye(len(labels), dtype=np.float32)[places],
        weights=np.ones(len(rows), dtype=np.float32),
        labels=tuple(labels),
        kind="classification",
        target=str(folder),
        validation=np.zeros(len(rows), dtype=bool),
        seed=0,
        epochs=options.epochs,
        batch_size=options.batch,
        learning_rate=LEARNING_RATE,
    )
    start = time.perf_counter()
    causal.fit(Job(0, folder, lambda message: None), workshop, spec)
    return time.perf_counter() - start


def trainer_seconds(folder: Path, rows: Any, labels: Any, options: Any) -> float:
    """Seconds of the Trainer with the same adapter, loading and tokenisation included."""
    start = time.perf_counter()
    tokenizer = load_tokenizer(str(folder))
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(labels))
    adapter = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS,
        r=causal.RANK,
        lora_alpha=2 * causal.RANK,
        lora_dropout=0.05,
        target_modules=causal.linear_modules(model),
        modules_to_save=["score"],
    )
    data = [
        {
            **tokenizer(row["text"], truncation=True, max_length=LONGEST),
            "label": labels.index(row["label"]),
        }
        for row in rows
    ]
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        learning_rate=LEARNING_RATE,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=options.device.startswith("cpu"),
    )
    Trainer(
        model=peft.get_peft_model(model, adapter),
        args=arguments,
        train_dataset=data,
        data_collator=DataCollatorWithPadding(tokenizer),
    ).train()
    return time.perf_counter() - start


def matmul_flops(workshop: Workshop, width: int) -> float:
    """FLOP/s of a bare product of 4096 rows by the inner weights, in the format that is used."""
    device, dtype = workshop.device.torch_device, workshop.device.dtype
    left = torch.randn(4096, width, device=device, dtype=dtype)
    right = torch.randn(width, 4 * width, device=device, dtype=dtype)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for it
        seconds.append(time.perf_counter() - start)
    return 2 * 4096 * width * 4 * width / statistics.median(seconds)


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=causal.RECIPE.batch_size)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--layers", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    lines = options.train.read_text(encoding="utf-8").splitlines()[: options.rows]
    rows = [json.loads(line) for line in lines]
    texts, labels = [row["text"] for row in rows], sorted({row["label"] for row in rows})
    ours, theirs, peaks = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        weights = write_model(folder, texts, options.width, options.layers)
        workshop = Workshop.open(options.device, options.threads, folder)
        options.device = workshop.device.kind
        tokens = options.epochs * sum(map(len, load_tokenizer(str(folder))(texts)["input_ids"]))
        for _ in range(options.repeats):
            ours.append(our_seconds(workshop, folder, rows, labels, options))
            peaks.append(matmul_flops(workshop, options.width))
            theirs.append(trainer_seconds(folder, rows, labels, options))
    share = 4 * weights * tokens / statistics.median(ours) / statistics.median(peaks)
    print(f"device             {workshop.device.name}, {workshop.device.dtype}")
    print(f"weights of layers  {weights / 1e6:9.1f} million")
    print(f"ours               {tokens / statistics.median(ours):9.0f} tokens/s")
    print(f"Trainer, defaults  {tokens / statistics.median(theirs):9.0f} tokens/s")
    ratio = statistics.median([b / a for a, b in zip(ours, theirs, strict=True)])
    print(f"ratio              {ratio:9.2f}")
    print(f"share of matmul    {share:9.1%} of {statistics.median(peaks) / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
