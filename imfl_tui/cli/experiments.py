"""``replay``: the paper's experiments, with the gold labels in place of the person."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imfl_engine.errors import ImflError, UsageError
from imfl_tui.cli import options as opt
from imfl_tui.cli.progress import Reporter
from imfl_tui.cli.settings_given import setting_values, settings_of
from imfl_tui.cli.shell import say, show, show_json
from imfl_tui.cli.sources import open_data

if TYPE_CHECKING:
    from imfl_engine.replay import ReplayRow, Table
    from imfl_engine.settings import Settings

DEFAULT_TEST_SHARE = "0.2"
MAIN_ARMS = "eeq,eeq-split+two-mean,random+two-mean,human-200,human-1000"


async def replay(
    train: Annotated[
        list[str], typer.Argument(metavar="TRAIN...", help=opt.SOURCES, show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="FILE.parquet", help="One row per arm and seed; added to."),
    ],
    arms: Annotated[
        str,
        typer.Option("--arms", metavar="a,b,c", help="Words joined by +; poster means the paper's."),
    ] = MAIN_ARMS,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each arm.")] = 1,
    first_seed: Annotated[int, typer.Option("--first-seed", help="The first run's seed.")] = 0,
    test: opt.Test = None,
    preset: opt.Preset = None,
    text: opt.TextColumn = None,
    context: opt.ContextColumn = None,
    options: opt.OptionsColumn = None,
    label: opt.LabelColumn = None,
    id: opt.IdColumn = None,
    encoding: opt.Encoding = None,
    labels: opt.Labels = None,
    labels_from: opt.LabelsFrom = None,
    task: opt.Kind = None,
    guidelines: opt.Guidelines = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Its name in the rows.")
    ] = None,
    human: opt.Human = 200,
    llm: opt.Llm = 800,
    rounds: opt.Rounds = 5,
    money: opt.Money = None,
    price: opt.Price = None,
    price_cached: opt.PriceCached = None,
    annotator: opt.Annotator = "neighbours",
    base_url: opt.BaseUrl = None,
    key_name: opt.KeyName = None,
    llm_accuracy: Annotated[
        float | None,
        typer.Option(
            "--llm-accuracy", min=0.0, max=1.0, metavar="SHARE",
            help="Simulate the LLM: gold labels, this share of them right.",
            rich_help_panel=opt.METHOD,
        ),
    ] = None,
    target: opt.Target = "probe",
    embedder: opt.Embedder = "minilm",
    device: opt.Device = "auto",
    keep: Annotated[bool, typer.Option("--keep", help="Keep each arm's project.")] = False,
    changes: opt.Changes = None,
    json: opt.AsJson = False,
) -> None:  # fmt: skip
    """Replay the paper's arms on labelled data; goes on where it was interrupted.

    An arm is words joined by +, what is not named taking the default: eeq+two-mean, human-200.
    """
    from imfl_engine.replay import ReplayConfig, RowFinished, parse_arms
    from imfl_engine.replay import replay as run_replay

    if out.suffix != ".parquet":
        raise UsageError(f"--out {out} is no Parquet file.", "Name it, as in results.parquet.")
    chosen = parse_arms(arms)
    sources, asked = open_data(
        train, text=text, context=context, options=options, label=label, id=id, encoding=encoding,
        test=test or DEFAULT_TEST_SHARE, seed=0, preset=preset, labels=labels,
        labels_from=labels_from, kind=task, guidelines=guidelines,
    )  # fmt: skip
    spec = annotator if llm_accuracy is None else f"simulated:{llm_accuracy:g}"
    values = setting_values(
        task=asked,
        budget__human=human,
        budget__llm=llm,
        budget__rounds=rounds,
        budget__money_usd=money,
        annotator__spec=spec,
        annotator__base_url=base_url,
        annotator__key_name=key_name,
        annotator__price_input=price[0] if price else None,
        annotator__price_output=price[1] if price else None,
        annotator__price_cached=price_cached,
        training__target=target,
        training__device=device,
        embedder=embedder,
    )
    settings = settings_of(values, changes, "replay")
    config = ReplayConfig(
        dataset=dataset or preset or _name_of(train[0]),
        settings=settings,
        sources=sources,
        arms=chosen,
        seeds=range(first_seed, first_seed + seeds),
        out=out,
        keep=keep,
        changes=" ".join(sorted(changes or ())),
        data=_mark_of(
            [*train, test or DEFAULT_TEST_SHARE],
            [text, context, options, label, id, preset, encoding],
            settings,
        ),
    )
    rows: list[ReplayRow] = []
    with Reporter() as reporter:
        async for event in run_replay(config):
            if isinstance(event, RowFinished):
                rows.append(event.row)
                reporter.tell(_row_words(event.row, event.reused))
            else:
                reporter.show(event)
    if json:
        show_json(rows)
    else:
        for line in table_lines(rows):
            show(line)
    missing = len(chosen) * seeds - len(rows)
    if missing:
        raise ImflError(
            f"{missing} of {len(chosen) * seeds} runs did not end.",
            "Start the same command again: what is finished is not done twice.",
        )
    say(f"{len(rows)} rows are in {out}.")


def _mark_of(names: Sequence[str], reading: Sequence[object], settings: Settings) -> str:
    """A hash of what the files hold, of how they are read and of what all arms have in common.

    A share or an ``hf:`` name stands for itself. Device and key change no result; annotator and
    target are columns of their own.
    """
    same = {"training": {"device", "target"}, "annotator": {"key_name", "spec"}}
    common = settings.model_dump_json(exclude=same)
    digest = sha256(repr([*reading, common]).encode())
    for name in names:
        path = Path(name).expanduser()
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found = [file for file in files if file.is_file()]
        for file in found:
            with file.open("rb") as content:
                digest.update(file_digest(content, "sha256").digest())
        if not found:
            digest.update(name.encode())
    return digest.hexdigest()[:12]


def _name_of(source: str) -> str:
    """What the rows call the data: the file's folder where the file is called train."""
    path = Path(source)
    return path.parent.name if path.stem == "train" and path.parent.name else path.stem


def _row_words(row: ReplayRow, reused: bool) -> str:
    accuracy = "no accuracy" if row.accuracy is None else f"accuracy {row.accuracy:.3f}"
    how = "already there" if reused else f"{row.seconds:.0f} s, ${row.cost_usd:.2f}"
    simulated = ", simulated LLM" if row.simulated else ""
    return f"{row.dataset} · {row.arm} · seed {row.seed}: {accuracy}{simulated} ({how})"


def table_lines(rows: list[ReplayRow]) -> list[str]:
    """The three tables of the poster for our rows, and a summary of the arms."""
    from imfl_engine.replay import poster_tables, summary_table

    lines: list[str] = []
    for table in (*poster_tables(rows), summary_table(rows)):
        if table.rows:
            lines += [*_formatted(table), ""]
    return lines[:-1]


def _formatted(table: Table) -> list[str]:
    cells = [list(table.columns), *[list(row) for row in table.rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
    written = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return [
        table.title,
        *(line.rstrip() for line in written),
        *([table.note] if table.note else []),
    ]
