"""What a request to this endpoint looks like, learned from what the endpoint does.

Servers that call themselves compatible refuse or silently ignore parts of a request. A part that is
refused is left out from then on; whether a schema is *enforced* is found out by asking for a word
that no model would say by itself (`Asker.proven`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imfl_engine.annotate.completion import Answer, Usage
from imfl_engine.annotate.facts import EndpointFacts
from imfl_engine.annotate.faults import Fault, learned_window
from imfl_engine.annotate.prompts import Message, Prompt, Style, answer_schema
from imfl_engine.annotate.tokens import Calibration, TokenRange, count_messages
from imfl_engine.settings import Annotator as AnnotatorSettings

PROOF = "zebra-41"
TOP_LOGPROBS = 10
REASONING_TOKENS = 4096
"""Output limit for models that think first; what they do not use is not billed."""
OUTPUT_STEPS = (1024, REASONING_TOKENS, 16384)
LEAST_ROOM = 48
STARVED_AFTER = 8
"""Answers in a row, each with the most room there is, that were thinking alone."""
DISTRUST_AFTER = 3
"""Answers in a row without the schema's shape after which the schema is given up."""

_REASONING = re.compile(r"(?:^|/)(?:o\d|gpt-5(?!-chat))|reason|thinking|(?:^|[-/])r1\b|qwq", re.I)


@dataclass
class Abilities:
    """What the endpoint takes, as far as is known."""

    structured: bool = True
    logprobs: bool = True
    temperature: bool = True
    output_name: str = "max_tokens"


class Asker:
    """Builds request bodies and adapts them to the endpoint."""

    def __init__(self, settings: AnnotatorSettings, base_url: str | None) -> None:
        self._settings = settings
        self._base_url = base_url
        self._stated_window = settings.context_tokens
        self.calibration = Calibration()
        self.forget()

    def forget(self) -> None:
        """Know nothing about the endpoint but what its model's name says, and how it counts."""
        settings = self._settings
        reasoning = _REASONING.search(settings.model) is not None
        self.abilities = Abilities(
            logprobs=not reasoning,
            temperature=not reasoning and settings.temperature is not None,
            output_name="max_completion_tokens" if self._base_url is None else "max_tokens",
        )
        self.doubted = False
        """Whether what was known has turned out wrong, so that the endpoint is to be asked again."""
        self.output_tokens = settings.max_output_tokens
        if reasoning:
            self.output_tokens = max(self.output_tokens, REASONING_TOKENS)
        self._first_output = self.output_tokens
        self._learned_window: int | None = None
        self._most_room: int | None = None
        self.hidden_input = 0
        """Prompt tokens that the server adds to every request, as far as is known."""
        self._refused: set[str] = set()
        self._starved = 0
        self._unshaped = 0
        self._both_names_tried = False

    @property
    def style(self) -> Style:
        """The form of prompts and answers."""
        return "json" if self.abilities.structured else "plain"

    @property
    def window(self) -> int | None:
        """The context window in tokens: what is stated, or less where the endpoint said so."""
        known = [w for w in (self._stated_window, self._learned_window) if w is not None]
        return min(known, default=None)

    def state_window(self, tokens: int | None) -> None:
        """Take the window that the price table knows, where the settings name none."""
        self._stated_window = self._stated_window or tokens

    @property
    def room(self) -> int | None:
        """Tokens a prompt may have; None while the context window is unknown."""
        rooms = [] if self._most_room is None else [self._most_room]
        if self.window is not None:
            rooms.append(self.window - min(self.output_tokens, self.window // 2) - 8)
        return max(min(rooms), LEAST_ROOM) if rooms else None

    def body(self, messages: Sequence[Message], labels: Sequence[str]) -> dict[str, Any]:
        """The JSON of a chat completion request."""
        body: dict[str, Any] = {
            "model": self._settings.model,
            "messages": list(messages),
            self.abilities.output_name: self.output_tokens,
        }
        if self.abilities.temperature and self._settings.temperature is not None:
            body["temperature"] = self._settings.temperature
        if self.abilities.structured:
            body["response_format"] = answer_schema(labels)
        if self.abilities.logprobs:
            body["logprobs"] = True
            body["top_logprobs"] = TOP_LOGPROBS
        return body

    def facts(self, asked_at: float) -> EndpointFacts:
        """What is known by now, to be kept for the next process."""
        raised = self.output_tokens > self._first_output
        return EndpointFacts(
            asked_at=asked_at,
            refused=tuple(sorted(self._refused)),
            output_name=self.abilities.output_name,
            output_tokens=self.output_tokens if raised else None,
            window=self._learned_window,
            most_room=self._most_room,
            hidden_input=self.hidden_input,
            guessed=self.calibration.guessed,
            counted=self.calibration.counted,
            cached=self.calibration.cached,
        )

    def take_over(self, facts: EndpointFacts) -> None:
        """Begin with what an earlier process found out."""
        for name in facts.refused:
            self.leave_out(name)
        self.abilities.output_name = facts.output_name or self.abilities.output_name
        self.output_tokens = max(self.output_tokens, facts.output_tokens or 0)
        self._learned_window = facts.window
        self._most_room = facts.most_room
        self.hidden_input = facts.hidden_input
        self.calibration.observe(facts.guessed, facts.counted, facts.cached)

    def count(self, body: dict[str, Any]) -> TokenRange:
        """The prompt tokens of a request."""
        extra = json.dumps(body["response_format"]) if "response_format" in body else ""
        own = count_messages(body["messages"], extra)
        added = self.hidden_input
        return TokenRange(own.low + added, own.likely + added, own.high + added) if added else own

    def adapt(self, fault: Fault) -> bool:
        """Leave out what the server refused; False when nothing is left to leave out."""
        param, abilities = fault.param, self.abilities
        if "logprobs" in param:
            return self.leave_out("logprobs")
        if param.startswith("response_format") or "json_schema" in param:
            return self.leave_out("structured")
        if param == "temperature":
            return self.leave_out("temperature")
        if param in ("max_tokens", "max_completion_tokens"):
            other = "max_tokens" if param == "max_completion_tokens" else "max_completion_tokens"
            if abilities.output_name == other:
                return True  # another request met the same refusal first
            if other in fault.message or not self._both_names_tried:
                self._both_names_tried = True
                abilities.output_name = other
                return True
            # The name is right, so the number is too large.
            if self.output_tokens > self._settings.max_output_tokens:
                self.output_tokens = max(self._settings.max_output_tokens, self.output_tokens // 2)
                return True
        return False

    def simplify(self) -> bool:
        """Leave out the next optional part, for a refusal that names none."""
        for name in ("logprobs", "structured", "temperature"):
            if getattr(self.abilities, name):
                return self.leave_out(name)
        return False

    def leave_out(self, name: str) -> bool:
        """Send the optional part ``name`` (an ability) no more; always True."""
        setattr(self.abilities, name, False)
        self._refused.add(name)
        return True

    def shrink(self, fault: Fault, sent: TokenRange) -> bool:
        """Learn from a refused prompt how long one may be; False when it cannot get shorter."""
        if self.learn_window(fault):
            return True
        shorter = self.shorter(sent)
        if shorter is None:
            return False
        self._most_room = min(self._most_room or shorter, shorter)
        return True

    def learn_window(self, fault: Fault) -> bool:
        """Take over the context window that a refusal names; False when that is nothing new."""
        learned = learned_window(fault.message)
        if learned is None or (self.window is not None and learned >= self.window):
            return False
        self._learned_window = learned
        return True

    def shorter(self, sent: TokenRange) -> int | None:
        """The tokens to try after ``sent`` were too many; None when it cannot get shorter."""
        tokens = int(sent.likely * self.calibration.factor * 0.7)
        return tokens if tokens >= LEAST_ROOM else None

    def allow_more_output(self, used: int) -> bool:
        """After an answer was cut off at ``used`` tokens of thinking: raise the limit."""
        if self.output_tokens > used:
            return True
        for step in OUTPUT_STEPS:
            if step > self.output_tokens:
                self.output_tokens = step
                return True
        return False

    def expect_output(self, used: int) -> None:
        """An answer took ``used`` tokens, whatever its limit was: reserve as much from now on."""
        if used > self.output_tokens:
            self.output_tokens = next((step for step in OUTPUT_STEPS if step >= used), used)

    def expect_input(self, usage: Usage, guessed: TokenRange) -> None:
        """The first answer took more prompt tokens than we sent: the server adds some of its own."""
        if usage.input > guessed.high:
            self.hidden_input += usage.input - guessed.likely

    def thought_only(self, answer: Answer) -> bool:
        """Whether this endpoint has spent all it may on thinking so often that it says nothing."""
        self._starved = self._starved + 1 if answer.starved else 0
        return self._starved >= STARVED_AFTER

    def observe(self, prompt: Prompt, answer: Answer, guessed: TokenRange) -> None:
        """Learn from an answer: how tokens are counted, and whether the schema is enforced."""
        if answer.usage is not None and answer.usage.input <= guessed.high:
            self.calibration.observe(guessed.likely, answer.usage.input, answer.usage.cached)
        if prompt.style != "json" or answer.refusal or answer.finish == "length":
            return
        if self.shaped(answer, prompt.labels):
            self._unshaped = 0
            return
        self._unshaped += 1
        if self._unshaped >= DISTRUST_AFTER:
            self.leave_out("structured")
            self.doubted = True

    @staticmethod
    def shaped(answer: Answer, labels: Sequence[str]) -> bool:
        """Whether the answer is what the schema asked for, to the letter."""
        try:
            values = [json.loads(text) for text in answer.texts]
        except ValueError:
            return False
        return bool(values) and all(
            isinstance(value, dict) and set(value) == {"label"} and value["label"] in labels
            for value in values
        )

    def proof(self) -> Prompt:
        """A question whose schema allows only an absurd answer."""
        return Prompt(
            (
                {"role": "system", "content": "Answer the question with one word."},
                {"role": "user", "content": "What colour is the sky on a clear day?"},
            ),
            (PROOF,),
            "json",
        )

    def proven(self, answer: Answer) -> bool:
        """Whether the schema was enforced: nobody calls the sky a zebra unasked."""
        return self.shaped(answer, (PROOF,))
