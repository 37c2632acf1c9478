"""The annotator of a project: the settings' own, or the local model in the compute process."""

from __future__ import annotations

from imfl_engine.annotate.build import build_annotator
from imfl_engine.annotate.ports import Annotator
from imfl_engine.errors import UsageError
from imfl_engine.loop.context import LoopContext


def annotator_for(context: LoopContext) -> Annotator:
    """Build the annotator; raises as `build_annotator`, and `UsageError` for *none*."""
    settings = context.settings
    if settings.annotator.kind == "local":
        from imfl_engine.annotate.local import LocalAnnotator

        return LocalAnnotator(settings.task, settings.annotator, context.compute)
    annotator = build_annotator(settings)
    if annotator is None:
        raise UsageError(
            "This project has no annotator.",
            "Choose one with `imfl-tui config PROJECT.db annotator.spec openai:MODEL`.",
        )
    return annotator
