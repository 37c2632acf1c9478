"""An in-memory stand-in for `Project` with realistic values, for pilot and snapshot tests.

Its jobs are scripts of events: a pilot that presses keys beside a busy Python thread waits for
seconds, so tests of the screens use these and the terminal tests use the real thing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from imfl_engine.errors import ImflError
from imfl_engine.events import (
    Annotated,
    Event,
    Progress,
    StepStarted,
    TrainingProgress,
    ValidationMeasured,
)
from imfl_engine.settings import Settings, parse_settings, replace_setting
from imfl_engine.types import (
    Action,
    Interval,
    Item,
    LabelEvent,
    Origin,
    Purpose,
    Reply,
    ReplyStatus,
    Step,
    StepKind,
)
from imfl_engine.views import (
    BudgetUse,
    CalibrationBin,
    ClassScore,
    CostEstimate,
    CurvePoint,
    Evaluation,
    ItemDetail,
    ItemFilter,
    ItemRow,
    LabelCount,
    LabelsBelow,
    LlmTrust,
    Opinion,
    QueueItem,
    ReviewPage,
    ReviewRow,
    RoundProgress,
    SimilarItem,
    Status,
)

CLOCK = datetime(2026, 3, 14, 15, 9, 26)
TEXTS = (
    "Operating profit fell to EUR 35.4 mn from EUR 68.8 mn in the year before, including the gain "
    "of EUR 12.3 mn from the sale of two vessels.",
    "Sales decreased by 8 % to EUR 1,203 mn because the mill stood still for six weeks.",
    "The company will lay off 200 people at its plant in the north by the end of May.",
    "The lab reports its order book to be as long as a year ago.",
    "The contract is worth some EUR 1 million over two years.",
    "Net sales rose slightly, but the margin shrank for the third quarter in a row.",
    "The board proposes a dividend of EUR 0.35 a share, as last year.",
    "Demand for the new pump was stronger than the management had expected.",
    "Net loss totalled EUR 1.2 mn, from a profit of EUR 0.4 mn.",
    "EBIT dropped by 12 % to EUR 4.7 mn while costs went up.",
    "The new office will be opened in the harbour district in autumn.",
    "Both ferries are fully booked until September, a record for the line.",
)
HOSTILE = (
    "[/foo] [bold red]not markup[/] \x1b]0;owned\x07 \x1b[2J \x1b[31mred",
    "a\u202egnirts\u202c b\u200bc \ufeffd\u2066e\u2069 \x00\x07\x7f\x9b",
    "شركة النفط تخسر 日本語のテキスト 👩‍💻 e" + "\u0301" * 40,
    "x" * 1_000_000,
)
GUIDELINES = (
    "Judge the effect on the company, not the mood of the sentence.\n"
    "A fall in profit is negative even if it was expected.\n"
    "Plans and dates alone are neutral."
)


def settings(labels: tuple[str, ...], kind: str = "classification") -> Settings:
    """The settings of the fake project."""
    specs = [{"name": name} for name in labels] if kind == "classification" else []
    return parse_settings(
        {
            "task": {"kind": kind, "labels": specs, "guidelines": GUIDELINES},
            "budget": {"human": 200, "llm": 800, "money_usd": 5.0, "minutes": 120},
            "annotator": {"spec": "openai:small-model", "base_url": "http://localhost:8000/v1"},
        }
    )


class FakeProject:
    """Answers like `Project`, from memory."""

    def __init__(
        self,
        stage: str = "normal",
        *,
        labels: tuple[str, ...] = ("positive", "negative", "neutral"),
        texts: tuple[str, ...] = TEXTS,
        options: tuple[str, ...] = (),
        context: str | None = None,
        path: Path = Path("earnings-tone.db"),
        answered: int = 12,
        offered: int = 0,
    ) -> None:
        self.path = path
        self.stage = stage
        self.labels = labels
        kind = "multiple-choice" if options else "classification"
        self.settings = settings(labels, kind)
        self.items = [
            Item(n + 1, f"s{n + 1:04}", texts[n % len(texts)], context, options) for n in range(400)
        ]
        self.offered = offered
        """Items that the LLM gave no label for, after the last round."""
        self.size = offered or 40
        self.batch = [item.item_id for item in self.items[: self.size]]
        self.answers: dict[int, str | None] = {}
        self.events: list[LabelEvent] = []
        self.undone: set[int] = set()
        self.flags: set[int] = set()
        self.notes: dict[int, str] = {}
        self.reviewed: dict[int, str] = {}
        self.script: list[Event] = []
        self.hold = False
        self.error: ImflError | None = None
        self.calls: list[tuple[str, Any]] = []
        self.closed = False
        self.advice = "Each round still gains more than its interval: go on."
        names = labels if len(labels) == 3 else ("positive", "negative", "neutral")
        self.stored = (
            [] if stage == "empty" else [reply(number, names[2]) for number in range(60, 40, -1)]
        )
        self.step: Step | None = None
        """The step instead of the one that follows from the answers."""
        self.annotator = self.settings.annotator.spec
        self.target = "minilm"
        if stage == "normal":
            for index in range(answered):
                self.answers[self.batch[index]] = labels[index % len(labels)] if labels else "A"

    # reads

    async def status(self) -> Status:
        empty = self.stage == "empty"
        done = len(self.answers)
        rounds = (
            RoundProgress(1, 67, 0 if empty else 67, 133, 0 if empty else 133, "done"),
            RoundProgress(2, 53, 0 if empty else 53, 147, 0 if empty else 147, "done"),
            RoundProgress(3, 40, 0 if empty else done, 160, 0, "now"),
            RoundProgress(4, 27, 0, 173, 0, "planned"),
            RoundProgress(5, 13, 0, 187, 0, "planned"),
        )
        if empty:
            rounds = (
                dataclasses.replace(rounds[0], human_done=0, state="now"),
                *(dataclasses.replace(cell, state="planned") for cell in rounds[1:]),
            )
        human = 0 if empty else 120 + done
        curve = (
            CurvePoint(1, Interval(0.702, 0.672, 0.730, 966), 0.64, "test", 67, 133, 61, 0.19),
            CurvePoint(2, Interval(0.756, 0.728, 0.782, 966), 0.70, "test", 120, 280, 66, 0.62),
            CurvePoint(3, Interval(0.794, 0.768, 0.819, 966), 0.75, "test", 160, 440, 74, 0.91),
        )
        finished = self.stage == "finished"
        step = Step(StepKind.LABEL, 1 if empty else 3, 0 if empty else done, self.size)
        if done >= self.size:
            step = Step(StepKind.ANNOTATE, 3, 0, 160)
        if finished:
            step = Step(StepKind.FINISHED, 5, reason="All 200 + 800 labels are bought.")
        if self.step is not None:
            step = self.step
        counts = (("neutral", 77, 162), ("positive", 38, 81), ("negative", 17, 37))
        return Status(
            path=self.path,
            step=step,
            rounds=rounds,
            budget=BudgetUse(
                human,
                200,
                0 if empty else 280,
                800,
                0.0 if empty else 0.62,
                0.0,
                5.0,
                0.0 if empty else 41.0,
                120.0,
            ),
            curve=() if empty else curve,
            majority=None if empty else (self._said("neutral"), 0.596),
            label_counts=tuple(
                LabelCount(label, 0 if empty else a, 0 if empty else b) for label, a, b in counts
            )
            if self.labels == ("positive", "negative", "neutral")
            else tuple(
                LabelCount(label, (n * 7) % 13, (n * 11) % 23)
                for n, label in enumerate(self.labels)
            ),
            trust=LlmTrust(None, None, 0, 0, 0, 0, None)
            if empty
            else LlmTrust(
                Interval(0.80, 0.63, 0.90, 30),
                31.4,
                280,
                18,
                12,
                6,
                (self._said("negative"), self._said("neutral"), 5, 9),
            ),
            pool_size=3876,
            test_size=966,
            task_kind=self.settings.task.kind,
            labels=self.labels,
            annotator=self.annotator,
            target=self.target,
            advice="" if empty else self.advice,
            offered=self.offered and self.offered - done,
            offered_total=self.offered,
        )

    def _said(self, usual: str) -> str:
        """A label of this project in the place of one of the usual three."""
        place = ("positive", "negative", "neutral").index(usual)
        return self.labels[place] if len(self.labels) == 3 else usual

    async def estimate(self) -> CostEstimate:
        return CostEstimate(160, 40_000, 46_000, 320, 640, 0.38, 0.44, 6.0, True, "price table")

    async def queue(self, limit: int = 20) -> list[QueueItem]:
        waiting = [n for n in self.batch if n not in self.answers]
        skipped = [n for n in self.batch if n in self.answers and self.answers[n] is None]
        return [self._queue_item(n) for n in (*waiting, *skipped)[:limit]]

    def _queue_item(self, item_id: int) -> QueueItem:
        rank = self.batch.index(item_id) + 1
        labels = self.labels or ("A", "B", "C")
        return QueueItem(
            item=self.items[item_id - 1],
            round=3,
            rank=rank,
            total=self.size,
            reason="the model is unsure, and it is unlike the other picks",
            control=rank % 9 == 0,
            model=None
            if self.stage == "empty"
            else Opinion(labels[-1], 0.38, dict.fromkeys(labels, 0.31) | {labels[-1]: 0.38}),
            llm=None,
            flagged=item_id in self.flags,
            comment=self.notes.get(item_id),
        )

    def _review_rows(self) -> list[ReviewRow]:
        if self.stage == "empty":
            return []
        labels = self.labels or ("A", "B", "C")
        rows = []
        for n in range(280):
            item = self.items[60 + n]
            status: Any = self.reviewed.get(item.item_id, "unreviewed")
            risk = 0.91 * (1 - n / 280) ** 3
            rows.append(
                ReviewRow(
                    item.item_id, item.text, labels[(n * 2) % len(labels)], risk, 1 + n % 2, status
                )
            )
        return rows

    async def review(self, offset: int = 0, limit: int = 50, order: str = "risk") -> ReviewPage:
        rows = self._review_rows()
        left = [row for row in rows if row.status == "unreviewed"]
        expected = sum(row.risk or 0 for row in left)
        found = sum(1 for status in self.reviewed.values() if status == "corrected")
        return ReviewPage(
            tuple(rows[offset : offset + limit]),
            offset,
            len(rows),
            len(left),
            expected if rows else None,
            len(self.reviewed) + (18 if rows else 0),
            found + (6 if rows else 0),
            sum(row.risk or 0 for row in left[:20]) if rows else None,
        )

    async def detail(self, item_id: int) -> ItemDetail:
        labels = self.labels or ("A", "B", "C")
        item = self.items[item_id - 1]
        llm = labels[((item_id - 61) * 2) % len(labels)]
        return ItemDetail(
            item=item,
            label=llm,
            source="llm",
            history=tuple(event for event in self.events if event.item_id == item_id),
            model=Opinion(labels[0], 0.91, {labels[0]: 0.91}),
            llm=Opinion(llm, 0.61, {llm: 0.61}),
            risk=0.80,
            reason="model says positive .91, 4 of 5 neighbours say positive, LLM unsure",
            round=2,
            control=False,
            demonstrations=tuple(await self.similar(item_id)),
            messages='[{"role": "system", "content": "Judge the effect on the company."},'
            ' {"role": "user", "content": "The contract is worth some EUR 1 million."}]',
            raw_reply='{"label": "neutral"}',
            reply_status="ok",
            input_tokens=412,
            output_tokens=4,
            cost_usd=0.0021,
            flagged=item_id in self.flags,
            comment=self.notes.get(item_id),
        )

    async def similar(self, item_id: int, k: int = 5) -> list[SimilarItem]:
        if self.stage == "empty":
            return []
        labels = self.labels or ("A", "B", "C")
        return [
            SimilarItem(
                300 + n,
                self.items[(item_id + n) % 12].text,
                labels[(n + 1) % len(labels)],
                0.81 - n / 20,
            )
            for n in range(k)
        ]

    async def search(self, wanted: ItemFilter, after: int = 0, limit: int = 100) -> list[ItemRow]:
        return [row for row in self._matching(wanted) if row.item_id > after][:limit]

    def _matching(self, wanted: ItemFilter) -> list[ItemRow]:
        rows = []
        for item in self.items:
            if wanted.text and wanted.text.lower() not in item.text.lower():
                continue
            label = self.answers.get(item.item_id)
            source = "human" if label else None
            if self.stage != "empty" and 60 < item.item_id <= 340:
                label, source = (
                    (self.labels or ("A",))[item.item_id % len(self.labels or "A")],
                    "llm",
                )
            if wanted.label and wanted.label != label:
                continue
            if wanted.source and wanted.source != (source or "unlabelled"):
                continue
            rows.append(
                ItemRow(
                    item.item_id,
                    item.key,
                    item.text,
                    label,
                    source,
                    3 if source == "human" else None,
                    None,
                    None,
                )
            )
        return rows

    async def count(self, wanted: ItemFilter) -> int:
        return len(self._matching(wanted))

    async def evaluation(self, round: int | None = None) -> Evaluation | None:
        if self.stage == "empty":
            return None
        labels = tuple(self._said(name) for name in ("positive", "negative", "neutral"))
        return Evaluation(
            scope="test",
            accuracy=Interval(0.794, 0.768, 0.819, 966),
            macro_f1=Interval(0.751, 0.718, 0.781, 966),
            classes=(
                ClassScore(labels[0], 0.74, 0.69, 0.71, 273),
                ClassScore(labels[1], 0.70, 0.66, 0.68, 117),
                ClassScore(labels[2], 0.84, 0.88, 0.86, 576),
            ),
            labels=labels,
            confusion=((188, 14, 71), (13, 77, 27), (52, 18, 506)),
            calibration=tuple(
                CalibrationBin(n / 10, (n + 1) / 10, n / 10 + 0.05, n / 10 + 0.02, 20 + n * 15)
                for n in range(3, 10)
            ),
            expected_calibration_error=0.041,
            majority=(labels[2], 0.596),
            round=3,
        )

    async def history(self, limit: int = 20, *, of: Collection[Action] = ()) -> list[LabelEvent]:
        return [event for event in reversed(self.events) if not of or event.action in of][:limit]

    # effects

    def _event(
        self,
        item_id: int,
        action: Action,
        label: str | None = None,
        seconds: float | None = None,
        undoes: int | None = None,
        comment: str | None = None,
    ) -> LabelEvent:
        if self.error is not None:
            raise self.error
        event = LabelEvent(
            len(self.events) + 1,
            item_id,
            action,
            label,
            3,
            Origin.BATCH,
            "me",
            seconds,
            comment,
            undoes,
            CLOCK,
        )
        self.events.append(event)
        return event

    async def label(
        self,
        item_id: int,
        label: str,
        *,
        seconds: float | None = None,
        origin: Origin = Origin.BATCH,
    ) -> LabelEvent:
        event = self._event(item_id, Action.LABEL, label, seconds)
        self.answers[item_id] = label
        if origin is Origin.REVIEW:
            self.reviewed[item_id] = "corrected"
        return event

    async def skip(
        self, item_id: int, *, seconds: float | None = None, origin: Origin = Origin.BATCH
    ) -> LabelEvent:
        event = self._event(item_id, Action.SKIP)
        self.answers[item_id] = None
        return event

    async def flag(self, item_id: int, on: bool) -> LabelEvent:
        (self.flags.add if on else self.flags.discard)(item_id)
        return self._event(item_id, Action.FLAG if on else Action.UNFLAG)

    async def note(self, item_id: int, text: str) -> LabelEvent:
        self.notes[item_id] = text
        return self._event(item_id, Action.NOTE, comment=text)

    async def accept(self, item_id: int, *, seconds: float | None = None) -> LabelEvent:
        event = self._event(item_id, Action.ACCEPT, seconds=seconds)
        self.reviewed[item_id] = "accepted"
        return event

    async def reject(
        self, item_id: int, *, seconds: float | None = None, origin: Origin = Origin.REVIEW
    ) -> LabelEvent:
        event = self._event(item_id, Action.REJECT, seconds=seconds)
        self.reviewed[item_id] = "corrected"
        return event

    async def accept_below(self, risk: float) -> int:
        rows = [r for r in self._review_rows() if (r.risk or 0) < risk and r.status == "unreviewed"]
        self.reviewed.update({row.item_id: "accepted" for row in rows})
        return len(rows)

    async def labels_below(self, risks: Sequence[float]) -> tuple[LabelsBelow, ...]:
        left = [r.risk or 0.0 for r in self._review_rows() if r.status == "unreviewed"]
        below = [[risk for risk in left if risk < most] for most in risks]
        return tuple(
            LabelsBelow(most, len(found), sum(found))
            for most, found in zip(risks, below, strict=True)
        )

    async def replies(self, limit: int = 200) -> list[Reply]:
        return list(self.stored[:limit])

    async def texts(self, item_ids: Sequence[int]) -> dict[int, str]:
        return {number: self.items[number - 1].text for number in item_ids}

    def pause(self, on: bool) -> None:
        self.calls.append(("pause", on))

    async def undo(self) -> LabelEvent | None:
        for event in reversed(self.events):
            if event.action is not Action.UNDO and event.event_id not in self.undone:
                self.undone.add(event.event_id)
                self._take_back(event)
                self._event(event.item_id, Action.UNDO, undoes=event.event_id)
                return event
        return None

    def _take_back(self, event: LabelEvent) -> None:
        number = event.item_id
        if event.action is Action.FLAG:
            self.flags.discard(number)
        elif event.action is Action.UNFLAG:
            self.flags.add(number)
        elif event.action is Action.NOTE:
            notes = [e for e in self.events if e.item_id == number and e.action is Action.NOTE]
            left = [e.comment for e in notes if e.event_id not in self.undone]
            self.notes.pop(number, None)
            if left:
                self.notes[number] = left[-1] or ""
        else:
            self.answers.pop(number, None)
            self.reviewed.pop(number, None)
            for earlier in self.events:
                answers = earlier.action in (Action.LABEL, Action.SKIP)
                if answers and earlier.item_id == number and earlier.event_id not in self.undone:
                    self.answers[number] = earlier.label

    async def configure(self, path: str, value: Any) -> None:
        self.calls.append(("configure", (path, value)))
        self.settings = replace_setting(self.settings, path, value)

    # jobs

    async def _play(self) -> AsyncIterator[Event]:
        for event in self.script:
            await asyncio.sleep(0)
            yield event
        if self.hold:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    def advance(self, **options: Any) -> AsyncIterator[Event]:
        self.may = options.pop("may", None)
        self.calls.append(("advance", options))
        return self._play()

    def prefetch(self) -> AsyncIterator[Event]:
        self.calls.append(("prefetch", None))
        return self._nothing()

    async def _nothing(self) -> AsyncIterator[Event]:
        return
        yield

    def export(self, destination: Path, format: str | None = None) -> AsyncIterator[Event]:
        self.calls.append(("export", (destination, format)))
        return self._export()

    async def _export(self) -> AsyncIterator[Event]:
        if self.error is not None:
            raise self.error
        yield Progress("export", 400, 400, "rows")

    async def close(self) -> None:
        self.closed = True

    @property
    def compute(self) -> Any:
        return SimpleNamespace()


def reply(item_id: int, label: str = "neutral", status: ReplyStatus = ReplyStatus.OK) -> Reply:
    """A committed reply."""
    return Reply(
        item_id,
        3,
        Purpose.ANNOTATE,
        status,
        label if status.has_label else None,
        "openai:small-model",
        f"h{item_id}",
        confidence=0.61 + (item_id % 30) / 100,
        messages='[{"role": "user", "content": "The contract…"}]',
        demonstration_ids=(1, 2, 3),
        input_tokens=412,
        output_tokens=4,
        cost_usd=0.0021,
        seconds=0.8,
    )


def annotation_script(
    count: int = 12,
    total: int = 160,
    labels: tuple[str, str, str] = ("neutral", "positive", "negative"),
) -> list[Event]:
    """The events of an LLM run that has come ``count`` far."""
    events: list[Event] = [StepStarted(Step(StepKind.ANNOTATE, 3, 0, total))]
    statuses = [ReplyStatus.OK] * 7 + [ReplyStatus.REPAIRED, ReplyStatus.OK, ReplyStatus.INVALID]
    for n in range(1, count + 1):
        events.append(
            Annotated(
                reply(100 + n, labels[n % 3], statuses[n % 10]),
                n,
                total,
                16,
                2,
                Counter(statuses[k % 10] for k in range(1, n + 1)),
                0.62 + n * 0.0021,
                0.034,
                5.0,
                212.0,
                42.0,
            )
        )
    return events


def training_script(steps: int = 60, total: int = 95, device: str = "cpu (bf16)") -> list[Event]:
    """The events of a training that has come ``steps`` far."""
    events: list[Event] = [StepStarted(Step(StepKind.TRAIN, 3))]
    for n in range(1, steps + 1):
        loss = 1.08 * (0.97**n) + 0.12 + 0.05 * ((n * 7) % 5) / 5
        events.append(
            TrainingProgress(n, total, n / 19, loss, 74.6, (total - n) * 0.8, device, 412_000_000)
        )
        if n % 19 == 0:
            events.append(ValidationMeasured(n, loss + 0.1, 0.6 + n / 400))
    return events


def embedding_script(done: int = 612, total: int = 2000) -> list[Event]:
    """The events of an embedding under way."""
    return [StepStarted(Step(StepKind.EMBED, 4)), Progress("embed", done, total, "items", 12.0)]
