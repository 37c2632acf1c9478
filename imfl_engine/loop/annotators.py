"""The annotator of a project: the settings' own, or the local model in the compute process."""

from __future__ import annotations

from dataclasses import replace

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.ports import Annotator
from imfl_engine.errors import KeyMissing, UsageError
from imfl_engine.loop.context import LoopContext


def annotator_for(context: LoopContext, *, need_key: bool = True) -> Annotator:
    """Build the annotator; raises as `build_annotator`, and `UsageError` for *none*."""
    settings = context.settings
    if settings.annotator.kind == "local":
        from imfl_engine.annotate.local import LocalAnnotator

        return LocalAnnotator(settings.task, settings.annotator, context.compute)
    annotator = build_annotator(settings, need_key=need_key)
    if annotator is None:
        raise UsageError(
            "This project has no annotator.",
            "Choose one with `imfl-tui config PROJECT.db annotator.spec openai:MODEL`.",
        )
    return annotator


def countable(context: LoopContext) -> LoopContext:
    """Return the context with an annotator that says what it would cost, also without a key."""
    try:
        _ = context.annotator
    except KeyMissing:
        return replace(context, _annotator=annotator_for(context, need_key=False))
    return context
