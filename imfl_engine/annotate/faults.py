"""What can become of a request besides an answer, in our words and with no secret in them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from imfl_engine.annotate.connecting import causes, why_not_connected
from imfl_engine.errors import EndpointError, ImflError, KeyMissing
from imfl_engine.redacting import Redactor

MESSAGE_CHARACTERS = 300
"""How much of a server's error text is kept."""
_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
_TRANSPORTS = {"aiohttp", "anyio", "h11", "httpcore", "httpcore2", "httpx", "httpx2"}
# aiohttp's names under the former: its bridge calls a dropped connection a connect timeout.
_DROPPED = {
    "ClientConnectionError",
    "ClientConnectionResetError",
    "ClientOSError",
    "ServerConnectionError",
    "ServerDisconnectedError",
    "ServerTimeoutError",
    "SocketTimeoutError",
}


class FaultKind(StrEnum):
    """Why a request brought no answer."""

    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"  # the provider's content filter or moderation
    TOO_LONG = "too_long"
    UNSUPPORTED = "unsupported"  # a parameter the server does not take
    UNREACHABLE = "unreachable"  # no connection: certainly not processed
    BROKEN = "broken"  # 5xx, or an answer that is none
    LOST = "lost"  # timeout or a dropped connection
    REJECTED = "rejected"  # another 4xx: asking again is pointless
    FATAL = "fatal"  # concerns every request: no key, no such model, no credit


class Fault(Exception):
    """A request without an answer. ``billed`` is False (certainly not) or None (unknown).

    ``forbidden`` marks a refusal that is about the item, or, when nothing else comes, about the key.
    """

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        *,
        billed: bool | None = False,
        retry_after: float | None = None,
        param: str = "",
        hint: str = "",
        error: ImflError | None = None,
        forbidden: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.billed = billed
        self.retry_after = retry_after
        self.param = param
        self.hint = hint
        self.error = error
        self.forbidden = forbidden

    @property
    def worth_retrying(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in (
            FaultKind.RATE_LIMITED,
            FaultKind.UNREACHABLE,
            FaultKind.BROKEN,
            FaultKind.LOST,
        )


class FaultReader:
    """Turns exceptions of the openai package into faults of one endpoint."""

    def __init__(self, where: str, key_name: str, timeout: float, redact: Redactor) -> None:
        self.key_works = False
        """Whether an answer has come for the key: a 403 after it is about its request alone."""
        self._where = where
        self._key_name = key_name
        self._timeout = timeout
        self._redact = redact

    def read(self, error: Exception) -> Fault:
        """An exception of the openai package as a `Fault`, with no secret in it."""
        import openai

        message = self._redact(_message(error))[:MESSAGE_CHARACTERS]
        if isinstance(error, openai.APIConnectionError):
            names = {type(cause).__name__ for cause in causes(error)}
            if names & _NOT_SENT and not names & _DROPPED:
                return self._not_connected(error)
            if isinstance(error, openai.APITimeoutError) and not names & _DROPPED:
                said = f"no answer in {self._timeout:g} seconds"
            else:
                said = "the connection was dropped"
            return Fault(FaultKind.LOST, said, billed=None)
        if isinstance(error, openai.APIStatusError):
            return self._status_fault(error, message)
        if isinstance(error, openai.OpenAIError | ValueError | RecursionError):
            said = "the answer is not JSON" if isinstance(error, ValueError) else message
            return Fault(FaultKind.BROKEN, said or type(error).__name__, billed=None)
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _TRANSPORTS:
            return Fault(FaultKind.LOST, "the connection was dropped", billed=None)
        raise error

    def _not_connected(self, error: Exception) -> Fault:
        why = why_not_connected(error, self._where)
        sentence = f"{self._where} cannot be asked: {why.message}."
        lasting = EndpointError(sentence, why.hint) if why.lasting else None
        return Fault(FaultKind.UNREACHABLE, self._redact(why.message), hint=why.hint, error=lasting)

    def key_refused(self, status: int) -> KeyMissing:
        """The error for a key that the endpoint answers with ``status``."""
        return KeyMissing(
            f"{self._where} does not accept the key in {self._key_name} ({status}).",
            f"Set {self._key_name} to a valid key and try again.",
        )

    def _status_fault(self, error: Any, message: str) -> Fault:
        status = int(error.status_code)
        code = str(error.code or "")
        kind = str(error.type or "")
        said = f"{message} {code} {kind}".lower()
        if status == 401 or (status == 403 and not self.key_works):
            return self._fatal(self.key_refused(status))
        if status == 402 or "insufficient_quota" in said or "billing" in code:
            return self._fatal(
                EndpointError(
                    f"The account at {self._where} has no credit left: {message}",
                    "Add credit there, or choose another annotator.",
                )
            )
        if status == 403:
            return Fault(FaultKind.REFUSED, f"403: {message}", forbidden=True)
        if 300 <= status < 400:  # nobody said that the texts may go there
            onward = self._redact(str(error.response.headers.get("location") or "another address"))
            return self._fatal(
                EndpointError(
                    f"{self._where} sends requests on to {onward[:MESSAGE_CHARACTERS]}.",
                    "Set annotator.base_url to the address that answers, if it is the right one.",
                )
            )
        if status == 404:
            return self._fatal(
                EndpointError(
                    f"{self._where} does not know the model or address: {message}",
                    "Check the model's name and `--base-url` (it usually ends in /v1).",
                )
            )
        if status == 429:
            after = retry_after(error.response.headers)
            return Fault(FaultKind.RATE_LIMITED, f"429: {message}", retry_after=after)
        if status in (408, 409) or status >= 500:
            after = retry_after(error.response.headers)
            return Fault(FaultKind.BROKEN, f"{status}: {message}", retry_after=after)
        if "content_filter" in said or "content management policy" in said:
            return Fault(FaultKind.REFUSED, message)
        if status == 413 or "context_length" in said or _TOO_LONG.search(said):
            return Fault(FaultKind.TOO_LONG, message)
        param = str(error.param or "") or _parameter(said)
        if status in (400, 422, 501) and param:
            return Fault(FaultKind.UNSUPPORTED, f"{status}: {message}", param=param)
        return Fault(FaultKind.REJECTED, f"{status}: {message}")

    @staticmethod
    def _fatal(error: ImflError) -> Fault:
        return Fault(FaultKind.FATAL, error.message, error=error)


_TOO_LONG = re.compile(r"context (?:length|window|size)|too many tokens|prompt is too long")
_PARAMETERS = (
    "response_format",
    "top_logprobs",
    "logprobs",
    "temperature",
    "max_completion_tokens",
    "max_tokens",
    "reasoning_effort",
    "seed",
)


def _parameter(said: str) -> str:
    return next((name for name in _PARAMETERS if name in said), "")


def learned_window(message: str) -> int | None:
    """The context window that an error text names, in tokens."""
    found = re.search(
        r"(?:maximum context length is|context (?:window|size|length)\D{0,40}?)"
        r"\s*(?:of\s*)?(\d[\d,]*)",
        message,
        re.IGNORECASE,
    )
    if not found:
        return None
    value = int(found.group(1).replace(",", ""))
    return value if value >= 64 else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait according to ``retry-after-ms`` or ``retry-after`` (seconds or a date)."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) / divisor
        except ValueError:
            try:
                seconds = parsedate_to_datetime(value).timestamp() - time.time()
            except (TypeError, ValueError):
                continue
        if 0 <= seconds < float("inf"):
            return seconds
    return None


def _message(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(error)
