"""One request to an OpenAI-compatible server.

The openai package carries the request; its own retries are off, because it cannot know whether a
retry may be paid for.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imfl_engine.annotate.completion import Answer, read_answer
from imfl_engine.annotate.faults import Fault, FaultKind, FaultReader
from imfl_engine.collecting import keep_what_is_loaded
from imfl_engine.errors import KeyMissing
from imfl_engine.redacting import Redactor

if TYPE_CHECKING:
    from openai import AsyncOpenAI

KNOCK_SECONDS = 10.0
POOL = 4
"""Requests in flight that share a connection pool."""


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
        self._faults = FaultReader(self.where, key_name, timeout, self.redact)
        # The address is explicit, so that only the settings decide where the key is sent.
        self._address = (base_url or "https://api.openai.com/v1").rstrip("/")
        self._completions = f"{self._address}/chat/completions"
        self._key = key
        self._timeout = timeout
        self._pools = max(1, -(-width // POOL))
        self._clients: list[AsyncOpenAI] = []
        self._busy: list[int] = []
        self._opening = asyncio.Lock()

    @property
    def where(self) -> str:
        """The endpoint's address as shown to a person."""
        return (self.base_url or "api.openai.com").rstrip("/")

    async def client(self) -> AsyncOpenAI:
        """A client, for what is not a chat completion."""
        await self._open()
        return self._clients[0]

    async def ask(self, body: Mapping[str, Any], *, idempotency_key: str | None = None) -> Answer:
        """Send one chat completion request; return the answer or raise `Fault`.

        A server that honours idempotency keys bills a repeated request once.
        """
        await self._open()
        key = idempotency_key or "none"
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        pool = self._busy.index(min(self._busy))
        self._busy[pool] += 1
        try:
            # The timeout of the HTTP client counts from byte to byte; this one is for the whole.
            async with asyncio.timeout(self._timeout):
                # Not chat.completions.create: its typed conversions of the request and the answer
                # take several times as long as the rest, and trust the server's types.
                # A whole address and a key of our own spare it a third of its work on a request.
                data = await self._clients[pool].post(
                    self._completions,
                    body=body,
                    cast_to=object,
                    options={"headers": headers, "idempotency_key": key},
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
            answer = read_answer(data)
        except ValueError as error:
            raise Fault(
                FaultKind.BROKEN, f"the answer is not a chat completion: {error}", billed=None
            ) from None
        self._faults.key_works = True
        return answer

    def key_refused(self) -> KeyMissing:
        """The error for a key that is answered with nothing but 403 any more."""
        return self._faults.key_refused(403)

    async def knock(self) -> None:
        """Send a request that nobody is billed for, the list of models; raise `Fault` for no answer."""
        client = await self.client()
        try:
            async with asyncio.timeout(min(self._timeout, KNOCK_SECONDS)):
                await client.get(f"{self._address}/models", cast_to=object)
        except TimeoutError:
            raise Fault(FaultKind.LOST, "no answer to the list of models") from None
        except Exception as error:
            raise self.fault(error) from None

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

        transports: list[Any] = []
        if self._fast_transport():
            transports.append(DefaultAioHttpClient(follow_redirects=False))
        else:
            # One TLS context for all pools: making one takes a fifth of a second. It comes from the
            # HTTP library that the openai package is built on, so trust is what it always is.
            name = DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0]
            context = importlib.import_module(name).create_ssl_context()
            transports += [
                DefaultAsyncHttpxClient(verify=context, follow_redirects=False)
                for _ in range(self._pools)
            ]
        clients = [
            AsyncOpenAI(
                api_key=self._key,
                base_url=self._address,
                max_retries=0,
                timeout=self._timeout,
                http_client=transport,
            )
            for transport in transports
        ]
        keep_what_is_loaded()
        return clients

    @staticmethod
    def _fast_transport() -> bool:
        """Whether aiohttp carries the requests: it takes half the processor time of httpx."""
        return importlib.util.find_spec("aiohttp") is not None

    def fault(self, error: Exception) -> Fault:
        """An exception of the openai package as a `Fault`, with no secret in it."""
        return self._faults.read(error)
