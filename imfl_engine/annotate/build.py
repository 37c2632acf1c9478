"""The annotator that the settings name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from imfl_engine.addresses import ADDRESS_HINT, address_problem, is_own_server
from imfl_engine.annotate.limits import Patience
from imfl_engine.annotate.neighbours import Neighbours
from imfl_engine.annotate.ports import Annotator
from imfl_engine.errors import KeyMissing, SettingsError, UsageError
from imfl_engine.redacting import use_key
from imfl_engine.settings import Settings

NO_KEY = "no-key-needed"
"""Sent to a server of one's own when the environment has no key; such servers ignore it."""


def build_annotator(
    settings: Settings,
    *,
    environ: Mapping[str, str] | None = None,
    patience: Patience | None = None,
    poll_seconds: float | None = None,
    need_key: bool = True,
) -> Annotator | None:
    """The annotator of ``settings``, or None for ``none``. Imports and asks nothing yet.

    ``environ`` is where the key is looked up (default: the process's environment);
    ``poll_seconds`` is how often a batch is asked after (default: less and less often). Without
    ``need_key`` it may only be asked what it would cost. Raises `KeyMissing` when a public endpoint
    has no key, `SettingsError` for an address that cannot be used, `UsageError` for annotators that
    are made elsewhere.
    """
    annotator = settings.annotator
    if annotator.kind == "none":
        return None
    if annotator.kind == "neighbours":
        return Neighbours(settings.task)
    if annotator.kind != "openai":
        raise UsageError(
            f"The annotator '{annotator.spec}' cannot be used here.",
            "Use openai:MODEL, neighbours or none.",
        )
    # Imported here, so that the free annotators start without it.
    from imfl_engine.annotate.llm import EndpointAnnotator

    environ = os.environ if environ is None else environ
    base_url = annotator.base_url or environ.get("OPENAI_BASE_URL") or None
    key = environ.get(annotator.key_name, "").strip()
    problem = address_problem(base_url, [key])
    if problem is not None:
        raise SettingsError.of([("annotator.base_url", problem)], ADDRESS_HINT)
    if not key:
        if need_key and (base_url is None or not is_own_server(base_url)):
            raise KeyMissing(
                f"The environment has no key for {base_url or 'api.openai.com'}: "
                f"{annotator.key_name} is not set.",
                f"Set it with `export {annotator.key_name}=…`, or name another variable with "
                "`imfl-tui config PROJECT.db annotator.key_name NAME`.",
            )
        key = NO_KEY
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise KeyMissing(
            f"{annotator.key_name} holds a character that no key has (a line break, a blank or a "
            "letter outside ASCII).",
            "Copy the key again, without quotes or anything around it.",
        )
    return EndpointAnnotator(
        settings.task,
        annotator,
        key=key if key == NO_KEY else use_key(key),
        base_url=base_url,
        patience=patience,
        poll=poll_seconds,
    )
