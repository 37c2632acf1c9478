"""One item while it is being asked about: its prompt, its answers, what they amount to.

Knows nothing of connections or money on disk; `item.ItemAsker` and `batch_jobs.BatchJobs` do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imfl_engine.annotate.asking import LEAST_ROOM, Asker
from imfl_engine.annotate.completion import MOST_HIDDEN, Answer, Usage
from imfl_engine.annotate.faults import Fault, FaultKind
from imfl_engine.annotate.ports import PaidAnswer
from imfl_engine.annotate.prompts import Message, Prompt, build_prompt, labels_of, repair_turn
from imfl_engine.annotate.replies import is_refusal, label_log_probabilities, parse_label
from imfl_engine.annotate.tokens import TokenRange, count_messages, count_tokens
from imfl_engine.redacting import Redactor
from imfl_engine.settings import Task
from imfl_engine.types import AnnotationRequest, Reply, ReplyStatus

ESTIMATED = "the server's token counts cannot be true; they are estimated"
NEVER_A_LABEL = "the answer is none of the labels, and neither was its repair"


@dataclass
class Tally:
    """What an item has used so far, over all its requests."""

    attempts: int = 0
    input: int = 0
    cached: int = 0
    output: int = 0
    usd: float = 0.0
    note: str | None = None

    def add(self, usage: Usage, usd: float) -> None:
        """Count one answer."""
        self.input += usage.input
        self.cached += usage.cached
        self.output += usage.output
        self.usd += usd


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer amounts to. ``status`` None means: ask again (``starved``: with more room)."""

    status: ReplyStatus | None
    label: str | None = None
    text: str = ""
    starved: bool = False

    @property
    def wants_repair(self) -> bool:
        """Whether something was said, and it is no label."""
        return self.status is None and not self.starved

    @property
    def said(self) -> str | None:
        """What is kept of the answer when it is paid for; None where thinking used it up."""
        return None if self.starved else self.text


class ItemInHand:
    """The state of one item. ``stage`` is 0 for the question, 1 for its one repair."""

    def __init__(
        self,
        request: AnnotationRequest,
        prompt_hash: str,
        *,
        task: Task,
        name: str,
        asker: Asker,
        redact: Redactor,
    ) -> None:
        self.request = request
        self.prompt_hash = prompt_hash
        self.tally = Tally()
        self.stage = 0
        self._task = task
        self._name = name
        self._asker = asker
        self._redact = redact
        self._started = time.monotonic()
        self._bad_answer: str | None = None
        self._repair_room: int | None = None
        """Tokens that this item's repair may have, once it was refused for its length."""

    def prompt(self) -> Prompt:
        """The prompt in the form and length that the endpoint takes now, with room for a repair."""
        asker = self._asker
        room = asker.room
        if self._repair_room is not None:
            room = min(room or self._repair_room, self._repair_room)
        if room is not None and self._bad_answer is not None:
            labels = labels_of(self._task, self.request.item)
            turn = count_messages(repair_turn(labels, asker.style, self._bad_answer)).likely
            room = max(room - math.ceil(turn * asker.calibration.factor), LEAST_ROOM)
        return build_prompt(
            self._task,
            self.request,
            style=asker.style,
            room=room,
            factor=asker.calibration.factor,
        )

    def messages(self, prompt: Prompt) -> tuple[Message, ...]:
        """What is sent next: the prompt, or the prompt with the request for a repair."""
        if self._bad_answer is None:
            return prompt.messages
        return (
            *prompt.messages,
            *repair_turn(prompt.labels, prompt.style, self._bad_answer),
        )

    def repair(self, bad_answer: str) -> None:
        """The answer was unusable; ask for a better one next."""
        self.stage, self._bad_answer = 1, bad_answer

    def resume(self, paid: PaidAnswer) -> Reply | None:
        """Go on from answers that were paid for: a reply, or None when another is due."""
        usage = Usage(paid.input_tokens, paid.cached_tokens, paid.output_tokens)
        self.tally.add(usage, paid.usd)
        self.tally.attempts += paid.attempts
        prompt = self.prompt()
        for text in paid.answers:
            answer = Answer((text,), None, "stop", None, ())
            verdict = self.judge(answer, prompt)
            if verdict.status is not None or self.stage:
                return self.reply(verdict, prompt, prompt.messages, answer)
            self.repair(text)
        return None

    def adapt(self, fault: Fault, prompt: Prompt) -> bool:
        """Whether the next request can avoid what this one was refused for."""
        if fault.kind is FaultKind.UNSUPPORTED:
            return self._asker.adapt(fault)
        if fault.kind is not FaultKind.TOO_LONG:
            return False
        sent = self._asker.count(self._asker.body(self.messages(prompt), prompt.labels))
        if self._bad_answer is None:
            return self._asker.shrink(fault, sent)
        # A repair is longer than the questions: its refusal says nothing about those.
        if not self._asker.learn_window(fault):
            self._repair_room = self._asker.shorter(sent)
            return self._repair_room is not None
        return True

    def usage(self, answer: Answer, count: TokenRange, output_limit: int) -> Usage:
        """The server's count where it can be true, else ours (and a note that it is ours)."""
        said = sum(count_tokens(text).high for text in answer.texts)
        usage = answer.usage
        most_visible = max(output_limit, said)
        if usage is not None and usage.is_believable(
            most_input=count.high, most_visible=most_visible
        ):
            self._asker.expect_output(usage.output)
            return usage
        if usage is not None and count.high < usage.input <= count.high + MOST_HIDDEN:
            self._asker.doubted = True  # the server may add more of its own by now
        self.tally.note = ESTIMATED
        shown = sum(count_tokens(text).likely for text in answer.texts)
        guess = max(1, round(count.likely * self._asker.calibration.factor))
        return Usage(min(guess, count.high), 0, min(shown, output_limit))

    def judge(self, answer: Answer, prompt: Prompt) -> Verdict:
        """Read an answer. More than one choice counts only if all give the same label."""
        texts = [self._redact.exactly(text) for text in answer.texts]
        text = texts[0] if texts else ""
        if answer.refusal:
            return Verdict(ReplyStatus.REFUSED, text=text or self._redact(answer.refusal))
        options = self.request.item.options
        labels = {parse_label(choice, prompt.labels, options) for choice in texts}
        label = labels.pop() if len(labels) == 1 else None
        if label is not None:
            status = ReplyStatus.REPAIRED if self.stage else ReplyStatus.OK
            return Verdict(status, label, text)
        if is_refusal(text):
            return Verdict(ReplyStatus.REFUSED, text=text)
        if answer.starved:
            return Verdict(None, text=text, starved=True)
        return Verdict(None, text="\n".join(texts) if len(texts) > 1 else text)

    def reply(
        self,
        verdict: Verdict,
        prompt: Prompt,
        messages: Sequence[Message],
        answer: Answer | None,
    ) -> Reply:
        """The reply that ``verdict`` leads to; an undecided one is invalid by now."""
        request = self.request
        status = verdict.status or ReplyStatus.INVALID
        log_probabilities = confidence = None
        if verdict.label is not None and answer is not None and answer.tokens:
            log_probabilities = label_log_probabilities(answer.tokens, verdict.label, prompt.labels)
            if log_probabilities is not None:
                confidence = math.exp(log_probabilities[verdict.label])
        note = self.tally.note
        if status is ReplyStatus.INVALID:
            note = note or NEVER_A_LABEL
        sent = replace(prompt, messages=tuple(messages)).to_json() if messages else None
        return Reply(
            item_id=request.item.item_id,
            round=request.round,
            purpose=request.purpose,
            status=status,
            label=verdict.label,
            annotator=self._name,
            prompt_hash=self.prompt_hash,
            confidence=confidence,
            log_probabilities=log_probabilities,
            raw=verdict.text if answer is not None else None,
            messages=self._redact.exactly(sent) if sent is not None else None,
            error=note,
            demonstration_ids=prompt.shown,
            input_tokens=self.tally.input,
            cached_tokens=self.tally.cached,
            output_tokens=self.tally.output,
            cost_usd=self.tally.usd,
            attempts=self.tally.attempts,
            seconds=time.monotonic() - self._started,
        )


def for_request(reply: Reply, request: AnnotationRequest) -> Reply:
    """A reply that was paid for before, as the reply to ``request``; another one is free."""
    item_id = request.item.item_id
    if (reply.item_id, reply.round, reply.purpose) == (item_id, request.round, request.purpose):
        return reply
    return replace(
        reply,
        item_id=item_id,
        round=request.round,
        purpose=request.purpose,
        demonstration_ids=tuple(d.item.item_id for d in request.demonstrations),
        input_tokens=0,
        cached_tokens=0,
        output_tokens=0,
        cost_usd=0.0,
        attempts=0,
        seconds=0.0,
    )
