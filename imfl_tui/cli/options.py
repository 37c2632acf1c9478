"""The arguments and options of the commands, each written once, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

DATA = "Data"
TASK = "Task"
BUDGET = "Budget"
METHOD = "Method"
SOURCES = "csv, tsv, jsonl, json, parquet, txt (one item a line), or hf:owner/name[:split]."


def _option(flag: str, text: str, panel: str | None = None, metavar: str | None = None) -> Any:
    return typer.Option(flag, help=text, rich_help_panel=panel, metavar=metavar)


def _argument(name: str, text: str) -> Any:
    return typer.Argument(metavar=name, help=text, show_default=False)


ProjectPath = Annotated[Path, _argument("PROJECT.db", "The project file.")]
DataPaths = Annotated[list[str], _argument("DATA...", SOURCES)]
AsJson = Annotated[bool, _option("--json", "Print JSON on stdout.")]

# Which column of the data holds what.
TextColumn = Annotated[
    str | None, _option("--text", "Column with the text; guessed if not given.", DATA, "COL")
]
ContextColumn = Annotated[
    str | None, _option("--context", "Column with what is read along with it.", DATA, "COL")
]
OptionsColumn = Annotated[
    str | None, _option("--options", "Column with an item's own answers.", DATA, "COL")
]
LabelColumn = Annotated[
    str | None, _option("--label", "Column with the right label (gold).", DATA, "COL")
]
IdColumn = Annotated[str | None, _option("--id", "Column with your identifier.", DATA, "COL")]
Encoding = Annotated[
    str | None, _option("--encoding", "Encoding of the files; UTF-8 if not given.", DATA, "NAME")
]
Test = Annotated[
    str | None, _option("--test", "A test file, or the share held out.", DATA, "DATA|FRACTION")
]
Preset = Annotated[
    str | None,
    _option(
        "--preset",
        "Read that data set's own published files.",
        DATA,
        "fpb|headline|pubmedqa|medqa",
    ),
]

# What is asked.
Labels = Annotated[
    str | None, _option("--labels", "The labels; else what the label column holds.", TASK, "a,b,c")
]
LabelsFrom = Annotated[
    str | None, _option("--labels-from", "Take the labels from this column.", TASK, "COL")
]
Kind = Annotated[
    str | None,
    _option("--task", "Guessed if not given.", TASK, "classification|multiple-choice"),
]
Guidelines = Annotated[
    Path | None, _option("--guidelines", "What you and the LLM label by.", TASK, "FILE.md")
]

# What may be spent.
Human = Annotated[int, _option("--human", "Labels you give.", BUDGET)]
Llm = Annotated[int, _option("--llm", "Labels the LLM gives.", BUDGET)]
Rounds = Annotated[int, _option("--rounds", "Rounds to give them in.", BUDGET)]
Money = Annotated[float | None, _option("--money", "Hard stop for the LLM's cost.", BUDGET, "USD")]
Minutes = Annotated[float | None, _option("--minutes", "Hard stop for your time.", BUDGET)]
Price = Annotated[
    tuple[float, float] | None,
    _option("--price", "US dollars per million tokens, in and out.", BUDGET, "IN OUT"),
]

PriceCached = Annotated[
    float | None,
    _option("--price-cached", "The same for input that the server had cached.", BUDGET, "USD"),
]

# How it is done.
Seed = Annotated[int, _option("--seed", "Makes every random choice repeatable.", METHOD)]
Annotator = Annotated[
    str,
    _option(
        "--annotator",
        "Who gives the LLM's labels.",
        METHOD,
        "openai:MODEL|neighbours|local:MODEL|none",
    ),
]
BaseUrl = Annotated[str | None, _option("--base-url", "OpenAI-compatible endpoint.", METHOD, "URL")]
KeyName = Annotated[
    str | None,
    _option(
        "--key-name", "Variable that holds the key; OPENAI_API_KEY if not given.", METHOD, "NAME"
    ),
]
Batch = Annotated[bool, _option("--batch", "Use the provider's batch API.", METHOD)]
Target = Annotated[
    str, _option("--target", "The model to fine-tune.", METHOD, "minilm|probe|PATH|HUB-ID")
]
Embedder = Annotated[
    str, _option("--embedder", "The model that finds similar items.", METHOD, "minilm|PATH|HUB-ID")
]
Device = Annotated[
    str, _option("--device", "Where models run.", METHOD, "auto|cpu|cpu:float32|cuda|mps")
]
Changes = Annotated[
    list[str] | None,
    _option("--set", "Any other setting; may be repeated.", METHOD, "NAME=VALUE"),
]
Query = Annotated[
    str | None,
    _option("--query", "eeq, eeq-split, eeq-cover, random, uncertainty, diverse.", METHOD, "NAME"),
]
Schedule = Annotated[
    str | None, _option("--schedule", "variable, equal, geometric, one-batch.", METHOD, "NAME")
]
Retrieval = Annotated[
    str | None,
    _option("--retrieval", "similar, random-shots, fixed-shots, zero-shot.", METHOD, "NAME"),
]
Loss = Annotated[
    str | None, _option("--loss", "label-model, two-mean, small-loss, reweight.", METHOD, "NAME")
]
