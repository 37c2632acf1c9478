"""A project about to be made: the answers so far, and what was found out from them.

Each step of the set-up ends with a check; it raises an `ImflError` where an answer cannot be used.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.errors import ImflError, StorageError
from imfl_engine.views import CostEstimate, ImportReport
from imfl_tui import draft_data, drafts
from imfl_tui.drafts import NONE, Draft
from imfl_tui.questions import STEPS, without_later_answers

if TYPE_CHECKING:
    from imfl_engine.annotate.ports import Learned
    from imfl_engine.data.reading import Source
    from imfl_engine.project import Project


def check_place(path: Path) -> None:
    """Raise `StorageError` where a project file cannot be made because its folder is missing."""
    if not path.parent.is_dir():
        raise StorageError(
            f"There is no folder {path.parent} for {path.name}.",
            "Create it first, or correct the path.",
        )


def lost_labels(counts: Counter[str], draft: Draft) -> Counter[str]:
    """The labels of the data that are not among the chosen ones, with the rows that have them."""
    chosen = drafts.label_names(draft.labels)
    if not chosen or draft.options not in (NONE, ""):  # options bring their own labels
        return Counter()
    return Counter({label: rows for label, rows in counts.items() if label not in chosen})


class NewProject:
    """The draft, kept in a file at every change, with its data, price and annotator."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Plan a project at ``path``; its draft is kept in ``folder``."""
        self.path = path
        self._file = drafts.draft_path(folder, path)
        kept = drafts.load_draft(self._file)
        self.was_kept = kept is not None
        """Whether the answers are those of an earlier start."""
        self.draft = kept or Draft()
        self.sources: list[Source] = []
        self.counts: Counter[str] = Counter()
        self.price: CostEstimate | None = None
        self._learned: Sequence[Learned] = ()
        """What the annotator's test has shown, for the project to begin with."""
        self.pool: int | None = None
        """How many items there are to label; counted no further than labels are asked for."""
        self.tested: tuple[str, str] | None = None
        """That the annotator answered, and what it said about itself."""

    @property
    def share_read(self) -> float:
        """How much of the data is read, from 0 to 1."""
        return sum(source.share for source in self.sources) / max(len(self.sources), 1)

    def answer(self, name: str, value: str) -> bool:
        """Take one answer; False when it is no news."""
        if not name or getattr(self.draft, name, value) == value:
            return False
        self._keep(**{name: value})
        if name in ("data", "test"):
            self.sources = []
        return True

    def answer_all(self, answers: dict[str, str]) -> None:
        """Take the answers of a whole step."""
        if answers:
            self._keep(**answers)

    def _keep(self, **answers: str) -> None:
        self.draft = replace(self.draft, **answers)
        drafts.save_draft(self._file, self.draft)

    def stand_at(self, step: str) -> None:
        """Remember which step is being answered, for the next start."""
        if self.draft.step != step:
            self._keep(step=step)

    async def take_up(self) -> int:
        """The number of the step to go on with: the kept one, or the first that does not fit any more.

        What the steps before it had found out is found again. No annotator is asked: it answered
        when its step was left.
        """
        titles = [step.title for step in STEPS]
        kept = titles.index(self.draft.step) if self.draft.step in titles else 0
        for number, title in enumerate(titles[:kept]):
            try:
                if title == "annotator":
                    drafts.plan_settings(without_later_answers(self.draft, title))
                else:
                    await self.check(title)
            except ImflError:
                return number
        return kept

    # ------------------------------------------------------------------ the end of each step

    async def check(self, step: str) -> None:
        """Check the answers of a step and find out what the next one shows."""
        if step == "data":
            check_place(self.path)
            await self._find_columns()
        elif step == "columns":
            await self._find_labels()
        elif step == "labels":
            drafts.plan_settings(without_later_answers(self.draft, "labels"))
        elif step == "annotator":
            settings = drafts.plan_settings(without_later_answers(self.draft, "annotator"))
            if settings.annotator.kind == "openai" and self.tested is None:
                await self.test_annotator()
        elif step == "budget":
            drafts.plan_settings(self.draft)

    async def _find_columns(self) -> None:
        draft = self.draft
        if draft.guessed_from == draft.data:
            try:
                self.sources = await asyncio.to_thread(draft_data.open_data, draft)
                return
            except ImflError:  # the file has other columns now, or is gone
                pass
        self.sources = await asyncio.to_thread(draft_data.open_data, draft, guess=True)
        self.draft = draft_data.with_columns(draft, self.sources[0])
        drafts.save_draft(self._file, self.draft)

    async def _find_labels(self) -> None:
        self.sources = await asyncio.to_thread(draft_data.open_data, self.draft)
        self.counts = await asyncio.to_thread(self.sources[0].label_counts)
        if self.counts and not self.draft.labels.strip():
            self.draft = replace(self.draft, labels=draft_data.suggested_labels(self.counts))

    async def _open_sources(self) -> None:
        if not self.sources:
            self.sources = await asyncio.to_thread(draft_data.open_data, self.draft)

    # ------------------------------------------------------------------ what it will be

    async def test_annotator(self) -> None:
        """Ask the annotator one short question."""
        settings = drafts.plan_settings(without_later_answers(self.draft, "annotator"))
        tried = await drafts.test_annotator(settings)
        self.tested = ("✓ it answers", " ".join(tried.notices))
        self._learned = tried.learned

    async def find_price(self) -> None:
        """Find out what the plan will cost."""
        settings = drafts.plan_settings(self.draft)
        await self._open_sources()
        wanted = settings.budget.human + settings.budget.llm
        self.pool = await asyncio.to_thread(
            draft_data.pool_size, self.draft, self.sources[0], most=wanted
        )
        self.price = await draft_data.plan_price(settings, self.sources[0], pool=self.pool)

    async def create(self) -> tuple[Project, ImportReport]:
        """Make the project; its draft is not needed any more."""
        from imfl_engine.project import Project

        settings = drafts.plan_settings(self.draft)
        await self._open_sources()
        project, report = await Project.create(self.path, settings, self.sources)
        await project.remember(self._learned)
        drafts.forget_draft(self._file)
        return project, report
