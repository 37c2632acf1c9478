"""``new`` and ``import``: how items and labels get into a project."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imfl_engine.errors import DataError, ProjectExists, StorageError, UsageError
from imfl_engine.events import Progress
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.progress import Reporter
from imfl_tui.cli.shell import jsonable, say, show_json
from imfl_tui.text import thousands

if TYPE_CHECKING:
    from imfl_engine.data.guess import Columns
    from imfl_engine.data.reading import Source
    from imfl_engine.settings import Settings
    from imfl_engine.views import ImportReport

POLL_SECONDS = 0.2


async def new(
    project: opt.ProjectPath,
    data: opt.DataPaths,
    text: opt.TextColumn = None,
    context: opt.ContextColumn = None,
    options: opt.OptionsColumn = None,
    label: opt.LabelColumn = None,
    id: opt.IdColumn = None,
    encoding: opt.Encoding = None,
    test: opt.Test = None,
    preset: opt.Preset = None,
    labels: opt.Labels = None,
    labels_from: opt.LabelsFrom = None,
    task: opt.Kind = None,
    guidelines: opt.Guidelines = None,
    human: opt.Human = 200,
    llm: opt.Llm = 800,
    rounds: opt.Rounds = 5,
    money: opt.Money = None,
    minutes: opt.Minutes = None,
    price: opt.Price = None,
    annotator: opt.Annotator = "neighbours",
    base_url: opt.BaseUrl = None,
    key_name: opt.KeyName = None,
    batch: opt.Batch = False,
    target: opt.Target = "minilm",
    embedder: opt.Embedder = "minilm",
    device: opt.Device = "auto",
    query: opt.Query = None,
    schedule: opt.Schedule = None,
    retrieval: opt.Retrieval = None,
    loss: opt.Loss = None,
    seed: opt.Seed = 0,
    json: opt.AsJson = False,
) -> None:
    """Create a project from your data. Nothing is written unless all of it could be read."""
    from imfl_engine.data.guess import Columns, guess_kind
    from imfl_engine.settings import parse_settings

    check_free(project)
    values = setting_values(
        budget__human=human,
        budget__llm=llm,
        budget__rounds=rounds,
        budget__money_usd=money,
        budget__minutes=minutes,
        query__strategy=query,
        query__schedule=schedule,
        retrieval__method=retrieval,
        annotator__spec=annotator,
        annotator__base_url=base_url,
        annotator__key_name=key_name,
        annotator__price_input=price[0] if price else None,
        annotator__price_output=price[1] if price else None,
        annotator__batch=batch,
        training__target=target,
        training__loss=loss,
        training__device=device,
        embedder=embedder,
        seed=seed,
    )
    if preset is not None:
        sources, asked = open_published(preset, data, test=test, seed=seed, encoding=encoding)
    else:
        columns = Columns(text, context, options, label, id)
        sources = open_sources(data, columns, test=test, seed=seed, encoding=encoding)
        asked = {"kind": task or guess_kind(sources[0].columns)}
    if labels is not None or (preset is None and asked["kind"] == "classification"):
        names = schema(sources[0], labels, labels_from, data, encoding)
        asked["labels"] = [{"name": name} for name in names]
    if guidelines is not None:
        asked["guidelines"] = read_guidelines(guidelines)
    settings = parse_settings({**values, "task": asked})
    report = await create(project, settings, sources)
    if json:
        show_json({"project": project, **jsonable(report)})
    say(f"Created {project}: {import_words(report)}.")
    warn_about_labels(report.unknown_labels, "dropped, the item was kept")
    say(f"Open it with `imfl-tui {project}`, or go on with `imfl-tui run {project}`.")


async def import_(
    project: opt.ProjectPath,
    data: opt.DataPaths,
    text: opt.TextColumn = None,
    context: opt.ContextColumn = None,
    options: opt.OptionsColumn = None,
    label: opt.LabelColumn = None,
    id: opt.IdColumn = None,
    encoding: opt.Encoding = None,
    labels: Annotated[
        bool | None,
        typer.Option(
            "--labels/--items",
            help="What DATA holds: labels for items that are here already, or more items.",
            show_default="recognised by its shape",
        ),
    ] = None,
    json: opt.AsJson = False,
) -> None:
    """Add more items, or labels made elsewhere.

    Labels come from an export of Prodigy, Label Studio, Argilla, doccano or of imfl-tui itself.
    """
    from imfl_engine.data.guess import Columns
    from imfl_engine.data.labels import recognise_labels

    if labels is None:
        labels = text is None and all(recognise_labels(name, encoding) for name in data)
    if labels:
        async with opened(project) as opened_project:
            reports = [await opened_project.import_labels(Path(name)) for name in data]
        if json:
            show_json(reports)
        for name, one in zip(data, reports, strict=True):
            say(f"Imported {thousands(one.labels)} label{'s' * (one.labels != 1)} from {name}.")
            if one.unknown_items:
                say(f"{thousands(one.unknown_items)} were for items that are not here.")
            warn_about_labels(one.unknown_labels, "left out")
        return
    async with opened(project) as opened_project:
        sources = open_sources(data, Columns(text, context, options, label, id), encoding=encoding)
        async with reading_shown(sources):
            report = await opened_project.import_items(sources)
    if json:
        show_json(report)
    say(f"Imported {import_words(report)}.")
    warn_about_labels(report.unknown_labels, "dropped, the item was kept")


def check_free(path: Path) -> None:
    """Raise unless a new project can be written to ``path``; before any data is read."""
    if path.is_dir():
        raise UsageError(f"'{path}' is a directory.", "Name a file in it, as in project.db.")
    if path.exists():
        raise ProjectExists(
            f"'{path}' is there already.",
            f"Open it with `imfl-tui {path}`, or choose another name.",
        )
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder '{path.parent}'.", "Create it first.")


def parse_test(test: str | None) -> tuple[float, str | None]:
    """What ``--test`` means: the share of the items to hold out, or the file of a test set."""
    if test is None:
        return 0.0, None
    try:
        share = float(test)
    except ValueError:
        return 0.0, test
    if not 0 < share < 1:
        raise UsageError(
            f"--test {test} is no share of the items.", "Give a number between 0 and 1, or a file."
        )
    return share, None


def read_guidelines(path: Path) -> str:
    """The text of the guidelines file."""
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except FileNotFoundError:
        raise UsageError(
            f"There is no guidelines file '{path}'.", "Check the path and its spelling."
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"The guidelines '{path}' are not UTF-8: byte {error.start} does not decode.",
            "Save the file as UTF-8.",
        ) from error
    except OSError as error:
        raise UsageError(
            f"The guidelines '{path}' cannot be read: {error.strerror or error}.",
            "Give a text file, as in guidelines.md.",
        ) from error


def open_sources(
    data: Sequence[str],
    columns: Columns,
    *,
    test: str | None = None,
    seed: int = 0,
    encoding: str | None = None,
) -> list[Source]:
    """The pool and, where ``--test`` names a file, the test set with the same columns."""
    from dataclasses import replace

    from imfl_engine.data.reading import open_source

    share, test_file = parse_test(test)
    pool = open_source(data, columns, test_fraction=share, seed=seed, encoding=encoding)
    if test_file is None:
        return [pool]
    # The test file is read with the columns of the pool, but may lack an identifier or a context.
    found = replace(pool.columns, id=columns.id, context=columns.context)
    return [pool, open_source(test_file, found, split="test", encoding=encoding)]


def open_published(
    preset: str, data: Sequence[str], *, test: str | None, seed: int, encoding: str | None
) -> tuple[list[Source], dict[str, Any]]:
    """A published data set's own files, and what its task asks."""
    from imfl_engine.data.presets import open_preset

    share, test_file = parse_test(test)
    found = open_preset(preset, data, test_fraction=share, seed=seed, encoding=encoding)
    sources = [found.source]
    if test_file is not None:
        sources.append(open_preset(preset, test_file, split="test", encoding=encoding).source)
    return sources, found.task.model_dump()


async def create(path: Path, settings: Settings, sources: Sequence[Source]) -> ImportReport:
    """Write the project file, with a bar while the data is read."""
    from imfl_engine.project import Project

    async with reading_shown(sources):
        project, report = await Project.create(path, settings, sources)
    await project.close()
    return report


async def create_sample(
    path: Path, name: str, *, budget: dict[str, int], target: str, seed: int
) -> ImportReport:
    """A project from one of the sample data sets, labelled by `neighbours`."""
    from imfl_engine.data.guess import Columns
    from imfl_engine.settings import parse_settings
    from imfl_tui.samples import sample_folder

    check_free(path)
    folder = sample_folder() / name
    sources = open_sources(
        [str(folder / "train.jsonl")], Columns(), test=str(folder / "test.jsonl"), seed=seed
    )
    values = setting_values(
        task__labels=[{"name": label} for label in schema(sources[0], None, None, [name], None)],
        task__guidelines=read_guidelines(folder / "guidelines.md"),
        training__target=target,
        seed=seed,
    )
    return await create(path, parse_settings({**values, "budget": budget}), sources)


@contextlib.asynccontextmanager
async def reading_shown(sources: Sequence[Source]) -> AsyncIterator[None]:
    """Show how far ``sources`` have been read while the body runs."""

    async def watch(reporter: Reporter) -> None:
        while True:
            done = sum(source.share for source in sources) / len(sources)
            reporter.show(Progress("import", round(100 * done), 100, "%", detail="reading"))
            await asyncio.sleep(POLL_SECONDS)

    with Reporter() as reporter:
        watcher = asyncio.create_task(watch(reporter))
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)


def import_words(report: ImportReport) -> str:
    """What an import did, in words."""
    words = f"{thousands(report.added)} item{'s' * (report.added != 1)}"
    for count, what in (
        (report.duplicates, "left out as duplicates"),
        (report.empty, "left out as empty"),
        (report.truncated, "cut to the longest text that is kept"),
    ):
        if count:
            words += f", {thousands(count)} {what}"
    return words


def warn_about_labels(unknown: dict[str, int], what_became: str) -> None:
    """Tell of labels in the data that the schema does not have."""
    if unknown:
        total = sum(unknown.values())
        shown = ", ".join(f"'{name}'" for name in list(unknown)[:5])
        more = ", …" if len(unknown) > 5 else ""
        say(
            f"{thousands(total)} item{'s' * (total != 1)} had a label that is not in the schema "
            f"({shown}{more}); it was {what_became}."
        )


def schema(
    pool: Source,
    labels: str | None,
    labels_from: str | None,
    data: Sequence[str],
    encoding: str | None,
) -> tuple[str, ...]:
    """The names of the labels: given, or found in the data.

    Raises `UsageError` where none are given nor found, `DataError` where the column holds no
    schema.
    """
    if labels is not None:
        names = tuple(dict.fromkeys(part.strip() for part in labels.split(",") if part.strip()))
        if len(names) < 2:
            raise UsageError(
                f"--labels names {len(names)} label{'s' * (len(names) != 1)}; "
                "classification needs at least two.",
                "Give them with commas, as in --labels yes,no.",
            )
        return names
    if labels_from is not None:
        from imfl_engine.data.guess import Columns
        from imfl_engine.data.reading import open_source

        columns = Columns(text=pool.columns.text, label=labels_from, options="", id="", context="")
        return _labels_of(open_source(data, columns, encoding=encoding), data[0])
    if not pool.columns.label:
        raise UsageError(
            "No labels are given, and the data has no column that looks like labels.",
            f"Name them with --labels a,b,c; the columns are {', '.join(pool.column_names)}.",
        )
    return _labels_of(pool, data[0])


def _labels_of(source: Source, name: str) -> tuple[str, ...]:
    from imfl_engine.data.guess import guess_labels

    counts = source.label_counts()
    where = f"Column '{source.columns.label}' of '{name}'"
    if not counts:
        raise DataError(f"{where} is empty.", "Name the labels with --labels a,b,c.")
    if len(counts) == 1:
        raise DataError(
            f"{where} holds one label only, '{next(iter(counts))}'.",
            "Name all the labels with --labels a,b,c.",
        )
    names = guess_labels(counts)
    if not names:
        raise DataError(
            f"{where} holds {len(counts):,} different values, which is no set of labels.",
            "Name another column with --label, or the labels with --labels a,b,c.",
        )
    return names


def setting_values(**given: Any) -> dict[str, Any]:
    """Nested settings from dotted names written with ``__``; None leaves the default."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        *parents, leaf = name.split("__")
        node = values
        for part in parents:
            node = node.setdefault(part, {})
        node[leaf] = value
    return values
