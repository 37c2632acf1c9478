"""``evaluate``, ``predict``, ``export`` and ``save-model``: what comes out of a project."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imfl_engine.errors import UsageError
from imfl_engine.events import Progress
from imfl_engine.views import Evaluation
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.progress import Reporter, shown
from imfl_tui.cli.shell import say, show, show_json
from imfl_tui.cli.sources import open_sources
from imfl_tui.cli.states import interval
from imfl_tui.text import pasteable

if TYPE_CHECKING:
    from imfl_engine.data.reading import Source
    from imfl_engine.project import Project


class ExportFormat(StrEnum):
    """Records of other annotation tools."""

    PRODIGY = "prodigy"
    LABELSTUDIO = "labelstudio"
    ARGILLA = "argilla"


async def evaluate(
    project: opt.ProjectPath,
    data: Annotated[
        list[str] | None,
        typer.Argument(metavar="[DATA...]", help="Labelled items; else the project's test set."),
    ] = None,
    text: opt.TextColumn = None,
    context: opt.ContextColumn = None,
    options: opt.OptionsColumn = None,
    label: opt.LabelColumn = None,
    encoding: opt.Encoding = None,
    json: opt.AsJson = False,
) -> None:
    """Measure the newest model: accuracy, macro-F1, per class, calibration, with intervals."""
    from imfl_engine.data.guess import Columns

    async with opened(project) as opened_project:
        if data:
            columns = Columns(text, context, options, label, id="")
            source = open_sources(data, columns, encoding=encoding)[0]
            if not source.columns.label:
                raise UsageError(
                    f"'{data[0]}' has no column with the right labels.",
                    f"Name it with --label; the columns are {', '.join(source.column_names)}.",
                )
            found: Evaluation | None = await _measured(opened_project, source)
        else:
            found = await opened_project.evaluation()
    if found is None:
        raise UsageError(
            f"{project} has no trained model to measure.",
            f"Label the first batch and run `imfl-tui run {pasteable(project)}`.",
        )
    if json:
        show_json(found)
        return
    for line in evaluation_lines(found):
        show(line)


async def _measured(project: Project, source: Source) -> Evaluation:
    now = Progress("evaluate", 0, 0, detail="measuring")

    def tell(progress: Progress) -> None:
        nonlocal now
        now = progress

    async with shown(lambda: now):
        return await project.evaluate_on(source, tell)


def evaluation_lines(found: Evaluation) -> list[str]:
    """What ``evaluate`` prints, line by line."""
    name, share = found.majority
    lines = [
        f"model of round {found.round}, measured on: {found.scope}",
        f"accuracy   {interval(found.accuracy)}",
        f"macro-F1   {interval(found.macro_f1)}",
        f"majority   always '{name}' scores {share:.3f}",
        f"ECE        {found.expected_calibration_error:.3f}",
        "",
    ]
    width = max([5, *(len(row.label) for row in found.classes)])
    lines.append(f"{'label':<{width}}  precision  recall     F1      n")
    lines += [
        f"{row.label:<{width}}  {row.precision:9.3f}  {row.recall:6.3f}  {row.f1:5.3f}"
        f"  {row.support:5d}"
        for row in found.classes
    ]
    return lines


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]


def there_already(path: Path) -> UsageError:
    """The error for a file that may be somebody's data."""
    return UsageError(f"'{path}' is there already.", "Name another file, or add --overwrite.")


async def export(
    project: opt.ProjectPath,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT", help=".parquet, .jsonl or .csv, or a folder for a Hugging Face data set."
        ),
    ],
    tool: Annotated[
        ExportFormat | None, typer.Option("--format", help="Records of another tool.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the annotated items, with who labelled each and how sure that is.

    An earlier export is replaced; any other file only with --overwrite.
    """
    from imfl_engine.data.earlier import is_export

    if out.is_file() and not overwrite and not is_export(out):
        raise there_already(out)
    async with opened(project) as opened_project:
        with Reporter() as reporter:
            await reporter.follow(opened_project.export(out, tool.value if tool else None))


async def predict(
    project: opt.ProjectPath,
    data: Annotated[str, typer.Argument(metavar="DATA", help=opt.SOURCES)],
    out: Annotated[Path, typer.Argument(metavar="OUT", help=".parquet, .jsonl or .csv.")],
    text: opt.TextColumn = None,
    context: opt.ContextColumn = None,
    options: opt.OptionsColumn = None,
    id: opt.IdColumn = None,
    encoding: opt.Encoding = None,
    overwrite: Overwrite = False,
) -> None:
    """Label new items with the newest model."""
    from imfl_engine.data.guess import Columns

    if out.exists() and Path(data).exists() and out.samefile(data):
        raise UsageError(f"'{out}' is the data itself.", "Name another file for the predictions.")
    if out.is_file() and not overwrite:
        raise there_already(out)
    async with opened(project) as opened_project:
        columns = Columns(text, context, options, label="", id=id)
        source = open_sources([data], columns, encoding=encoding)[0]
        with Reporter() as reporter:
            await reporter.follow(opened_project.predict(source, out))
    say(f"Wrote {out}.")


async def save_model(
    project: opt.ProjectPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the model goes.")],
) -> None:
    """Save the newest model with its tokenizer and a model card that says how to load it.

    A fine-tuned target is loaded by transformers, the probe by sentence-transformers with a head
    beside it.
    """
    saving = Progress("export", 0, 0, detail="saving the model")
    async with opened(project) as opened_project, shown(lambda: saving):
        loads = await opened_project.save_model(folder)
    say(f"Wrote {folder}.")
    say(loads)
