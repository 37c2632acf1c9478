"""``new`` and ``import``: how items and labels get into a project."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imfl_engine.errors import ProjectExists, StorageError, UsageError
from imfl_engine.events import Progress
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.progress import shown
from imfl_tui.cli.settings_given import setting_values, settings_of
from imfl_tui.cli.shell import jsonable, say, show_json
from imfl_tui.cli.sources import check_options, open_data, open_sources, read_guidelines, schema
from imfl_tui.text import pasteable, plural, thousands

if TYPE_CHECKING:
    from imfl_engine.data.reading import Source
    from imfl_engine.settings import Settings
    from imfl_engine.views import ImportReport


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
    price_cached: opt.PriceCached = None,
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
    changes: opt.Changes = None,
    json: opt.AsJson = False,
) -> None:
    """Create a project from your data. Nothing is written unless all of it could be read."""
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
        annotator__price_cached=price_cached,
        annotator__batch=batch,
        training__target=target,
        training__loss=loss,
        training__device=device,
        embedder=embedder,
        seed=seed,
    )
    sources, asked = open_data(
        data, text=text, context=context, options=options, label=label, id=id, encoding=encoding,
        test=test, seed=seed, preset=preset, labels=labels, labels_from=labels_from, kind=task,
        guidelines=guidelines,
    )  # fmt: skip
    settings = settings_of({**values, "task": asked}, changes, "new")
    report = await create(project, settings, sources)
    if json:
        show_json({"project": project, **jsonable(report)})
    say(f"Created {project}: {import_words(report)}.")
    warn_about_labels(report.unknown_labels)
    warn_about_budget(settings, report)
    name = pasteable(project)
    say(f"Open it with `imfl-tui {name}`, or go on with `imfl-tui run {name}`.")


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

    Labels come from an export of Prodigy, Label Studio, Argilla, doccano or of imfl-tui itself;
    with --labels also from the label column of any other file.
    """
    from imfl_engine.data.guess import Columns
    from imfl_engine.data.labels import recognise_labels

    if labels is None:
        labels = text is None and all(recognise_labels(name, encoding) for name in data)
    columns = Columns(text, context, options, label, id)
    if labels:
        async with opened(project) as opened_project:
            reports = await opened_project.import_labels(
                [Path(name) for name in data], encoding=encoding, columns=columns
            )
        if json:
            show_json(reports)
        for one in reports:
            say(str(one))
        return
    async with opened(project) as opened_project:
        sources = open_sources(data, columns, encoding=encoding)
        if opened_project.settings.task.kind == "multiple-choice":
            check_options(sources[0], data[0])
        async with reading_shown(sources):
            report = await opened_project.import_items(sources)
    if json:
        show_json(report)
    say(f"Imported {import_words(report)}.")
    warn_about_labels(report.unknown_labels)
    if report.duplicates and sources[0].columns.label:
        say(
            f"The column '{sources[0].columns.label}' of items that were here already was not read; "
            "to import it as labels of yours, add --labels."
        )


def check_free(path: Path) -> None:
    """Raise unless a new project can be written to ``path``; before any data is read."""
    if path.is_dir():
        raise UsageError(f"'{path}' is a directory.", "Name a file in it, as in project.db.")
    if path.exists():
        raise ProjectExists(
            f"'{path}' is there already.",
            f"Open it with `imfl-tui {pasteable(path)}`, or choose another name.",
        )
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder '{path.parent}'.", "Create it first.")


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
    return await create(path, settings_of({**values, "budget": budget}, None, "demo"), sources)


def reading_shown(sources: Sequence[Source]) -> AbstractAsyncContextManager[None]:
    """Show how far ``sources`` have been read while the body runs."""

    def read() -> Progress:
        done = sum(source.share for source in sources) / len(sources)
        return Progress("import", round(100 * done), 100, "%", detail="reading")

    return shown(read)


def import_words(report: ImportReport) -> str:
    """What an import did, in words."""
    pool = report.added - report.test
    words = f"{thousands(pool)} item{'s' * (pool != 1)}"
    if report.test:
        words += f" in the pool, {thousands(report.test)} in the test set"
    for count, what in (
        (report.duplicates, "left out as duplicates"),
        (report.empty, "left out as empty"),
        (report.truncated, "cut to the longest text that is kept"),
    ):
        if count:
            words += f", {thousands(count)} {what}"
    return words


def warn_about_labels(unknown: dict[str, int]) -> None:
    """Tell of labels in the data that the schema does not have."""
    if unknown:
        total = sum(unknown.values())
        shown = ", ".join(f"'{name}'" for name in list(unknown)[:5])
        more = ", …" if len(unknown) > 5 else ""
        say(
            f"{thousands(total)} item{'s' * (total != 1)} had a label that is not in the schema "
            f"({shown}{more}); the label was dropped, the item kept."
        )


def warn_about_budget(settings: Settings, report: ImportReport) -> None:
    """Tell that more labels are asked for than there are items to label."""
    wanted = settings.budget.human + settings.budget.llm
    items = report.added - report.test
    if items < wanted:
        say(
            f"{plural(wanted, 'label')} are asked for, but there are only {plural(items, 'item')} "
            "to label: no more than that will be bought."
        )
