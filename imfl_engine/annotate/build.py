"""The annotator that the settings name."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from imfl_engine.annotate.limits import Patience
from imfl_engine.annotate.neighbours import Neighbours
from imfl_engine.annotate.ports import Annotator
from imfl_engine.errors import KeyMissing, SettingsError, UsageError
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
    check_address(base_url)
    key = environ.get(annotator.key_name, "").strip()
    if not key:
        if need_key and (base_url is None or not is_own_server(base_url)):
            raise KeyMissing(
                f"The environment has no key for {base_url or 'api.openai.com'}: "
                f"{annotator.key_name} is not set.",
                f"Set it with `export {annotator.key_name}=…`, or name another variable with "
                "`imfl-tui config PROJECT.db annotator.key_name NAME`.",
            )
        key = NO_KEY
    return EndpointAnnotator(
        settings.task,
        annotator,
        key=key,
        base_url=base_url,
        patience=patience,
        poll=poll_seconds,
    )


def is_own_server(base_url: str) -> bool:
    """Whether the address is this machine's or a private network's."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host
    return address.is_loopback or address.is_private


def check_address(base_url: str | None) -> None:
    """Refuse an address that cannot be one, or that carries a secret into the project file."""
    if base_url is None:
        return
    try:
        parts = urlsplit(base_url)
        secret = bool(parts.password or parts.username or parts.query)
    except ValueError:
        parts, secret = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(
            "annotator.base_url: this is no http address.",
            "It looks like http://127.0.0.1:8000/v1.",
        )
    if secret:
        raise SettingsError(
            "annotator.base_url: the address holds a user, a password or a query; "
            "it would be written to the project file.",
            "Put the key in an environment variable and name it with annotator.key_name.",
        )
