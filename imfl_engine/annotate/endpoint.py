"""One request to an OpenAI-compatible server, and what became of it, in our words.

The openai package carries the request; its own retries are off, because it cannot know whether a
retry may be paid for. Answers are read from the raw JSON: servers that call themselves compatible
differ in every field, and a wrong type must not become an exception somewhere else.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from imfl_engine.errors import EndpointError, ImflError, KeyMissing

if TYPE_CHECKING:
    from openai import AsyncOpenAI

POOL = 4
"""Requests in flight that share a connection pool."""
MESSAGE_CHARACTERS = 300
"""How much of a server's error text is kept."""
_KEY_LIKE = re.compile(r"\b(?:sk|pk|key|gsk|hf|xai)[-_][A-Za-z0-9_\-*.…]{6,}|Bearer\s+\S+")
_NOT_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol"}
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


class Redactor:
    """Takes the key, and what looks like one, out of any text that may be kept or shown."""

    def __init__(self, *secrets: str | None) -> None:
        self._secrets = [s for s in secrets if s and len(s) >= 4]

    def __call__(self, text: str) -> str:
        """``text`` without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return _KEY_LIKE.sub("[key]", text)

    def exactly(self, text: str) -> str:
        """Only our own secrets out; for answers, where something like a key may be the data."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text


class FaultKind(StrEnum):
    """Why a request brought no answer."""

    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"  # the provider's content filter
    TOO_LONG = "too_long"
    UNSUPPORTED = "unsupported"  # a parameter the server does not take
    UNREACHABLE = "unreachable"  # no connection: certainly not processed
    BROKEN = "broken"  # 5xx, or an answer that is none
    LOST = "lost"  # timeout or a dropped connection
    REJECTED = "rejected"  # another 4xx: asking again is pointless
    FATAL = "fatal"  # concerns every request: no key, no such model, no credit


class Fault(Exception):
    """A request without an answer. ``billed`` is False (certainly not) or None (unknown)."""

    def __init__(
        self,
        kind: FaultKind,
        message: str,
        *,
        billed: bool | None = False,
        retry_after: float | None = None,
        param: str = "",
        error: ImflError | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.billed = billed
        self.retry_after = retry_after
        self.param = param
        self.error = error

    @property
    def worth_retrying(self) -> bool:
        """Whether the same request may succeed later."""
        return self.kind in (
            FaultKind.RATE_LIMITED,
            FaultKind.UNREACHABLE,
            FaultKind.BROKEN,
            FaultKind.LOST,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; ``output`` includes hidden reasoning tokens."""

    input: int
    cached: int
    output: int
    reasoning: int = 0


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


class Endpoint:
    """A connection to one server, speaking for one key.

    The connection pool looks through all its connections for every request, which at 64 of them
    costs more than the request; so the requests are spread over several small pools.
    """

    def __init__(
        self, *, base_url: str | None, key: str, key_name: str, timeout: float, width: int
    ) -> None:
        self.base_url = base_url
        self.redact = Redactor(key)
        self._key = key
        self._key_name = key_name
        self._timeout = timeout
        self._pools = max(1, -(-width // POOL))
        self._clients: list[AsyncOpenAI] = []
        self._busy: list[int] = []
        self._opening = asyncio.Lock()

    @property
    def where(self) -> str:
        """The endpoint's address as shown to a person."""
        return self.base_url or "api.openai.com"

    async def client(self) -> AsyncOpenAI:
        """A client, for what is not a chat completion."""
        await self._open()
        return self._clients[0]

    async def ask(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Answer:
        """Send one chat completion request; return the answer or raise `Fault`.

        A server that honours idempotency keys bills a repeated request once.
        """
        await self._open()
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        pool = self._busy.index(min(self._busy))
        self._busy[pool] += 1
        try:
            # The timeout of the HTTP client counts from byte to byte; this one is for the whole.
            async with asyncio.timeout(self._timeout):
                # Not chat.completions.create: its typed conversions of the request and the answer
                # take several times as long as the rest, and trust the server's types.
                data = await self._clients[pool].post(
                    "/chat/completions",
                    body=body,
                    cast_to=object,
                    options={"headers": headers},
                )
        except TimeoutError:
            raise Fault(
                FaultKind.LOST, f"no answer in {self._timeout:g} seconds", billed=None
            ) from None
        except Exception as error:
            raise self.fault(error) from None
        finally:
            self._busy[pool] -= 1
        try:
            return read_answer(data)
        except ValueError as error:
            raise Fault(
                FaultKind.BROKEN, f"the answer is not a chat completion: {error}", billed=None
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        clients, self._clients, self._busy = self._clients, [], []
        for client in clients:
            await client.close()

    async def _open(self) -> None:
        """Make the clients; the openai package is imported here, off the loop (0.6 s)."""
        if self._clients:
            return
        async with self._opening:
            if not self._clients:
                self._clients = await asyncio.to_thread(self._make_clients)
                self._busy = [0] * len(self._clients)

    def _make_clients(self) -> list[AsyncOpenAI]:
        from openai import AsyncOpenAI, DefaultAioHttpClient, DefaultAsyncHttpxClient

        # The address is explicit, so that only the settings decide where the key is sent.
        base_url = self.base_url or "https://api.openai.com/v1"
        transports: list[Any] = []
        if self._fast_transport():
            transports.append(DefaultAioHttpClient())
        else:
            # One TLS context for all pools: making one takes a fifth of a second. It comes from the
            # HTTP library that the openai package is built on, so trust is what it always is.
            name = DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0]
            context = importlib.import_module(name).create_ssl_context()
            transports += [DefaultAsyncHttpxClient(verify=context) for _ in range(self._pools)]
        return [
            AsyncOpenAI(
                api_key=self._key,
                base_url=base_url,
                max_retries=0,
                timeout=self._timeout,
                http_client=transport,
            )
            for transport in transports
        ]

    @staticmethod
    def _fast_transport() -> bool:
        """Whether aiohttp carries the requests: it takes half the processor time of httpx."""
        return importlib.util.find_spec("aiohttp") is not None

    def fault(self, error: Exception) -> Fault:
        """An exception of the openai package as a `Fault`, with no secret in it."""
        import openai

        message = self.redact(_message(error))[:MESSAGE_CHARACTERS]
        if isinstance(error, openai.APIConnectionError):
            names = _causes(error)
            if names & _NOT_SENT and not names & _DROPPED:
                return Fault(FaultKind.UNREACHABLE, f"no connection to {self.where}")
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
        raise error

    def _status_fault(self, error: Any, message: str) -> Fault:
        status = int(error.status_code)
        code = str(error.code or "")
        kind = str(error.type or "")
        said = f"{message} {code} {kind}".lower()
        if status in (401, 403):
            return self._fatal(
                KeyMissing(
                    f"{self.where} does not accept the key in {self._key_name} ({status}).",
                    f"Set {self._key_name} to a valid key and try again.",
                )
            )
        if status == 402 or "insufficient_quota" in said or "billing" in code:
            return self._fatal(
                EndpointError(
                    f"The account at {self.where} has no credit left: {message}",
                    "Add credit there, or choose another annotator.",
                )
            )
        if status == 404:
            return self._fatal(
                EndpointError(
                    f"{self.where} does not know the model or address: {message}",
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
    cached = _count(input_details.get("cached_tokens")) if isinstance(input_details, dict) else 0
    thought = (
        _count(output_details.get("reasoning_tokens")) if isinstance(output_details, dict) else 0
    )
    # Where hidden tokens are counted apart from the visible ones, both are billed.
    hidden = thought or 0
    output = completion + hidden if hidden > completion else completion
    return Usage(prompt, min(cached or 0, prompt), output, hidden)


def _count(value: Any) -> int | None:
    """``value`` if it can be a number of tokens."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    return None


def _causes(error: BaseException) -> set[str]:
    """The names of the exceptions that led to ``error``."""
    names = set()
    cause = error.__cause__
    while cause is not None:
        names.add(type(cause).__name__)
        cause = cause.__cause__ or cause.__context__
    return names


def _message(error: Exception) -> str:
    body = getattr(error, "body", None)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(error)
