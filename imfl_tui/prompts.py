"""The exact prompt of an item as something to read."""

from __future__ import annotations

import json

from imfl_engine.types import Reply
from imfl_engine.views import ItemDetail
from imfl_tui.text import closeness, money, thousands


def prompt_parts(source: ItemDetail | Reply) -> list[tuple[str, str]]:
    """``(heading, text)`` of each message, the answer as it came, and what it cost."""
    raw = source.raw_reply if isinstance(source, ItemDetail) else source.raw
    parts = messages_parts(source.messages)
    if raw is not None:
        parts.append(("answer", raw))
    if isinstance(source, Reply) and source.error:
        parts.append(("error", source.error))
    cost = money(source.cost_usd) if source.cost_usd else "nothing"
    tokens = f"{thousands(source.input_tokens)} tokens in, {thousands(source.output_tokens)} out"
    parts.append(("cost", f"{tokens}, {cost}"))
    return parts


def asked_parts(detail: ItemDetail) -> list[tuple[str, str]]:
    """What the LLM was asked, what it answered and what that cost; nothing where it was not asked."""
    if detail.reply_status is None:
        return []
    named = [(f"LLM · {name}" if name else name, text) for name, text in prompt_parts(detail)]
    return [*named, *demonstration_parts(detail)]


def demonstration_parts(detail: ItemDetail) -> list[tuple[str, str]]:
    """The person's labels that an annotator without a prompt was shown, nearest first."""
    nearest = sorted(
        detail.demonstrations,
        key=lambda one: -2.0 if one.similarity is None else one.similarity,
        reverse=True,
    )
    shown = [f"{closeness(one.similarity):3}  {one.label}\n     {one.text}" for one in nearest]
    return [] if detail.messages or not shown else [("your labels it was shown", "\n".join(shown))]


def messages_parts(messages: str | None) -> list[tuple[str, str]]:
    """The messages of a chat request (JSON) by role; what is no such JSON is shown as it is."""
    if not messages:
        return [("", "This annotator reads no prompt.")]
    try:
        loaded = json.loads(messages)
    except json.JSONDecodeError:
        return [("", messages)]
    if isinstance(loaded, dict):
        loaded = loaded.get("messages", [loaded])
    if not isinstance(loaded, list):
        return [("", messages)]
    parts = []
    for message in loaded:
        if isinstance(message, dict):
            content = message.get("content", "")
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
            parts.append((str(message.get("role", "")), text))
        else:
            parts.append(("", str(message)))
    return parts
