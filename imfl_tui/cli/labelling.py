"""``next`` and ``label``: the person's part of a round, for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from imfl_engine.errors import UsageError
from imfl_engine.types import StepKind, option_letter
from imfl_engine.views import QueueItem
from imfl_tui.cli import options as opt
from imfl_tui.cli.opened import opened
from imfl_tui.cli.shell import say, show, show_json
from imfl_tui.cli.states import step_words
from imfl_tui.text import pasteable

if TYPE_CHECKING:
    from imfl_engine.project import Project


async def next_(
    project: opt.ProjectPath,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many items to show.")] = 1,
    json: opt.AsJson = False,
) -> None:
    """Show the items that wait for your label, the next one first."""
    async with opened(project) as opened_project:
        status = await opened_project.status()
        waiting = await opened_project.queue(limit)
    labels = status.labels
    if json:
        show_json(
            {
                "step": status.step,
                "waiting": (status.step.total - status.step.done or status.offered)
                if waiting
                else 0,
                "labels": labels,
                "items": [_as_record(item, labels) for item in waiting],
            }
        )
        return
    if not waiting:
        step = status.step
        over = step.kind is StepKind.FINISHED
        why = "Nothing waits for a label" + (f": {step.reason}" if over else "")
        if status.minutes_spent_up:
            why = f"Your time budget of {status.budget.minutes_limit:g} min is reached"
        say(f"{why}." if over else f"{why}; next is {step_words(step)}.")
        if status.minutes_spent_up:
            say(
                f"To label more, raise it: `imfl-tui config {pasteable(project)} budget.minutes N`."
            )
        if not over:
            say(f"Run `imfl-tui run {pasteable(project)}` to go on.")
    for item in waiting:
        show(f"{item.item.item_id}\t{item.item.key}")
        if item.item.context:
            show(item.item.context)
        show(item.item.text)
        for index, option in enumerate(item.item.options):
            show(f"  {option_letter(index)}  {option}")
        show(f"  {', '.join(labels)}" if labels else "")


def _as_record(found: QueueItem, labels: tuple[str, ...]) -> dict[str, object]:
    item = found.item
    allowed = labels or tuple(option_letter(index) for index in range(len(item.options)))
    return {
        "item": item.item_id,
        "id": item.key,
        "text": item.text,
        "context": item.context,
        "options": item.options,
        "labels": allowed,
        "round": found.round,
        "rank": found.rank,
        "total": found.total,
        "reason": found.reason,
        "control": found.control,
        "meta": item.meta,
    }


async def label(
    project: opt.ProjectPath,
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ITEM LABEL ...", help="An item's number or your id, and its label."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option("--skip", metavar="ITEM", help="Skip an item.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take the last event back.")] = False,
    json: opt.AsJson = False,
) -> None:
    """Label items: ITEM LABEL, as often as you like. Each is on disk before the next."""
    words = pairs or []
    if len(words) % 2:
        raise UsageError(
            f"The last item, '{words[-1]}', has no label.",
            "Give pairs, as in `imfl-tui label project.db 17 positive 23 negative`.",
        )
    if not words and not skip and not undo:
        raise UsageError(
            "Nothing to label is given.",
            f"Run `imfl-tui next {pasteable(project)}` to see what waits, then give ITEM LABEL.",
        )
    async with opened(project) as opened_project:
        # Everything is looked up before the first label is written.
        labelled = [
            (await find_item(opened_project, item), name)
            for item, name in zip(words[::2], words[1::2], strict=True)
        ]
        for item, name in labelled:
            await check_label(opened_project, item, name)
        skipped = [await find_item(opened_project, item) for item in skip or []]
        saved = [
            await opened_project.label(item, name, origin=await opened_project.origin_of(item))
            for item, name in labelled
        ]
        saved += [
            await opened_project.skip(item, origin=await opened_project.origin_of(item))
            for item in skipped
        ]
        undone = await opened_project.undo() if undo else None
    if json:
        show_json({"saved": saved, "undone": undone})
        return
    if saved:
        say(f"{len(saved)} {'events' if len(saved) > 1 else 'event'} saved.")
    if undo:
        taken = f"'{undone.label or undone.action}' of item {undone.item_id}" if undone else ""
        say(f"Took back {taken}." if undone else "There is nothing to undo.")


async def check_label(project: Project, item_id: int, name: str) -> None:
    """Raise unless the item can have this label."""
    allowed = project.settings.task.label_names
    if not allowed:
        item = (await project.detail(item_id)).item
        allowed = tuple(option_letter(index) for index in range(len(item.options)))
    if name not in allowed:
        shown = ", ".join(allowed[:10]) + (", …" if len(allowed) > 10 else "")
        raise UsageError(
            f"'{name}' is no label of item {item_id}; nothing was saved.", f"Use one of: {shown}."
        )


async def find_item(project: Project, word: str) -> int:
    """The item that a word names: by its own id first, else by its number."""
    found = await project.find(word)
    if found is None:
        raise UsageError(
            f"There is no item '{word}' in {project.path}.",
            f"Run `imfl-tui next {pasteable(project.path)}` to see the items that wait; "
            "where ids are numbers, the number of an item is written #12.",
        )
    return found
