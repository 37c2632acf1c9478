"""A chat completion's JSON, read without trusting any of its types.

Servers that call themselves compatible differ in every field; a wrong type must become "no answer"
or "no usage" here, and never an exception somewhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_HIDDEN = 65_536
"""Hidden tokens of one request that a server may claim; more cannot be true."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; ``output`` includes hidden reasoning tokens."""

    input: int
    cached: int
    output: int
    reasoning: int = 0

    def is_believable(self, *, most_input: int, most_visible: int) -> bool:
        """Whether it can be true of a request of these sizes, in tokens.

        What a model thinks is billed even where it ignores the limit it was given.
        """
        visible = self.output - self.reasoning
        return (
            self.input <= most_input
            and visible <= most_visible + 16
            and self.reasoning <= MOST_HIDDEN
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said. ``texts`` has one entry per choice; ``usage`` is None if unusable."""

    texts: tuple[str, ...]
    refusal: str | None
    finish: str
    usage: Usage | None
    tokens: Sequence[Mapping[str, Any]]

    @property
    def starved(self) -> bool:
        """Whether the output limit was used up by thinking before anything was said."""
        return self.finish == "length" and not "".join(self.texts).strip()


def read_answer(data: Any) -> Answer:
    """A chat completion's JSON as an `Answer`; raises ValueError when it is none."""
    choices = data.get("choices") if isinstance(data, dict) else None
    if not isinstance(choices, list):
        raise ValueError("no choices")
    texts, refusal, finish, tokens = [], None, "", []
    for index, choice in enumerate(c for c in choices if isinstance(c, dict)):
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        content = message.get("content")
        if isinstance(content, list):  # some servers answer in parts
            content = "".join(
                str(part.get("text", "")) for part in content if isinstance(part, dict)
            )
        texts.append(content if isinstance(content, str) else "")
        if index == 0:
            finish = str(choice.get("finish_reason") or "")
            logprobs = choice.get("logprobs")
            listed = logprobs.get("content") if isinstance(logprobs, dict) else None
            if isinstance(listed, list) and all(isinstance(t, dict) for t in listed):
                tokens = listed
        if isinstance(message.get("refusal"), str) and message["refusal"]:
            refusal = refusal or message["refusal"]
    if refusal is None and finish == "content_filter":
        refusal = "content_filter"
    return Answer(tuple(texts), refusal, finish, read_usage(data.get("usage")), tokens)


def read_usage(usage: Any) -> Usage | None:
    """The token counts, or None if they are missing or cannot be true."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if not prompt or completion is None:
        return None
    input_details = usage.get("prompt_tokens_details")
    output_details = usage.get("completion_tokens_details")
    cached = _count(usage.get("prompt_cache_hit_tokens"))  # DeepSeek's name
    if isinstance(input_details, dict):
        cached = _count(input_details.get("cached_tokens")) or cached
    thought = (
        _count(output_details.get("reasoning_tokens")) if isinstance(output_details, dict) else 0
    )
    # Where hidden tokens are counted apart from the visible ones, both are billed; some servers
    # count them in the total alone.
    hidden = thought or 0
    output = completion + hidden if hidden > completion else completion
    in_total_alone = max((_count(usage.get("total_tokens")) or 0) - prompt - output, 0)
    hidden, output = hidden + in_total_alone, output + in_total_alone
    return Usage(prompt, min(cached or 0, prompt), output, hidden)


def _count(value: Any) -> int | None:
    """``value`` if it can be a number of tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    return None
