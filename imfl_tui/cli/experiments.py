"""``replay``: the paper's experiments, with the gold labels in place of the person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imfl_engine.errors import ImflError
from imfl_tui.cli import options as opt

SYSTEMS = "eeq,eeq-split+two-mean,random+two-mean,human-200,human-1000"


async def replay(
    train: Annotated[list[str], typer.Argument(metavar="TRAIN...", help=opt.SOURCES)],
    out: Annotated[Path, typer.Option("--out", metavar="FILE.parquet", help="Where rows go.")],
    arms: Annotated[
        str, typer.Option("--arms", metavar="a,b,c", help="Words joined by +; see the README.")
    ] = SYSTEMS,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each arm.")] = 1,
    test: opt.Test = None,
    preset: opt.Preset = None,
    text: opt.TextColumn = None,
    context: opt.ContextColumn = None,
    options: opt.OptionsColumn = None,
    label: opt.LabelColumn = None,
    id: opt.IdColumn = None,
    encoding: opt.Encoding = None,
    human: opt.Human = 200,
    llm: opt.Llm = 800,
    rounds: opt.Rounds = 5,
    annotator: opt.Annotator = "neighbours",
    base_url: opt.BaseUrl = None,
    llm_accuracy: Annotated[
        float | None,
        typer.Option("--llm-accuracy", min=0.0, max=1.0, metavar="SHARE", help="Simulate the LLM."),
    ] = None,
    target: opt.Target = "probe",
    embedder: opt.Embedder = "minilm",
    device: opt.Device = "auto",
    json: opt.AsJson = False,
) -> None:
    """Replay the paper's arms on labelled data; goes on where it was interrupted."""
    raise ImflError(
        "`replay` is not part of this version yet.",
        "Run single arms with `imfl-tui new --query --loss --schedule --retrieval` and "
        "`imfl-tui run --human gold`.",
    )
