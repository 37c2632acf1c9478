"""The provider's side of a batch: upload, create, ask after, download, with retries."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from imfl_engine.annotate.completion import Answer, read_answer
from imfl_engine.annotate.endpoint import Endpoint
from imfl_engine.annotate.faults import Fault
from imfl_engine.annotate.limits import Patience
from imfl_engine.annotate.prompts import Message
from imfl_engine.errors import EndpointError, KeyMissing

T = TypeVar("T")
MARK = "imfl_batch"
"""The key of a batch's metadata under which our own id of it is kept."""
CLOCKS_DIFFER = 3600.0
"""Seconds that the provider's clock may be behind ours."""


class Unclear(EndpointError):
    """The provider did not answer; nobody knows what it did."""


class BatchProvider:
    """The batch API of one endpoint. Raises `EndpointError`, `KeyMissing` or `Unclear`."""

    def __init__(self, endpoint: Endpoint, patience: Patience, rng: random.Random) -> None:
        self._endpoint = endpoint
        self._patience = patience
        self._rng = rng
        self.retries = 0

    async def upload(self, content: bytes) -> str:
        """Store the requests as a file; return its id."""
        client = await self._endpoint.client()
        file = await self._call(
            lambda: client.files.create(
                file=("imfl-batch.jsonl", content, "application/jsonl"), purpose="batch"
            )
        )
        return str(file.id)

    async def create(self, file_id: str, mark: str, since: float) -> Any:
        """Start a batch; never twice, even if the answer to the first call got lost."""
        client = await self._endpoint.client()
        return await self._call(
            lambda: client.batches.create(
                completion_window="24h",
                endpoint="/v1/chat/completions",
                input_file_id=file_id,
                metadata={MARK: mark},
            ),
            found=lambda: self.find(mark, since),
        )

    async def find(self, mark: str, since: float) -> Any:
        """The batch that carries our mark, or None; those made after ``since`` are looked through.

        An account may be shared, so there can be any number of them by now. ``since`` is seconds
        since 1970 by our clock.
        """
        client = await self._endpoint.client()

        async def look() -> Any:
            async for batch in client.batches.list(limit=100):
                if (batch.metadata or {}).get(MARK) == mark:
                    return batch
                if (batch.created_at or since) < since - CLOCKS_DIFFER:
                    break
            return None

        return await self._call(look)

    async def state(self, remote_id: str) -> Any:
        """The batch as it is now; None if the provider does not know it any more."""
        client = await self._endpoint.client()
        return await self._call(_known(lambda: client.batches.retrieve(remote_id)))

    async def cancel(self, remote_id: str) -> None:
        """Have the provider stop; what is done stays. One that has ended already is left alone."""
        client = await self._endpoint.client()
        with contextlib.suppress(EndpointError):
            await self._call(_known(lambda: client.batches.cancel(remote_id)))

    async def results(self, file_id: str) -> dict[str, dict[str, Any]]:
        """The lines of a result file by their ``custom_id``; broken lines are left out."""
        client = await self._endpoint.client()
        content = await self._call(lambda: client.files.content(file_id))
        results = {}
        for line in content.text.splitlines():
            try:
                result = json.loads(line)
            except ValueError:
                continue
            if isinstance(result, dict) and isinstance(result.get("custom_id"), str):
                results[result["custom_id"]] = result
        return results

    async def _call(
        self,
        make: Callable[[], Awaitable[T]],
        *,
        found: Callable[[], Awaitable[T | None]] | None = None,
    ) -> T:
        """Call the provider with retries; raises `EndpointError` or `KeyMissing` in our words.

        ``found`` is asked before a retry whether the call had its effect after all.
        """
        attempt = 1
        while True:
            try:
                return await make()
            except Exception as error:
                fault = self._endpoint.fault(error)
            if isinstance(fault.error, KeyMissing):
                raise fault.error
            if not fault.worth_retrying:
                raise EndpointError(*_no_batches(self._endpoint.where, fault))
            if attempt >= self._patience.attempts:
                raise Unclear(*_no_batches(self._endpoint.where, fault))
            self.retries += 1
            await asyncio.sleep(self._patience.wait(attempt, fault.retry_after, self._rng))
            attempt += 1
            done = await found() if found is not None else None
            if done is not None:
                return done


def _known(make: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T | None]]:
    """The same call, giving None for what the provider does not know."""

    async def call() -> T | None:
        import openai

        try:
            return await make()
        except openai.NotFoundError:
            return None

    return call


def result_answer(result: dict[str, Any] | None) -> tuple[Answer | None, str]:
    """A result line's answer, or None and why there is none."""
    if result is None:
        return None, "the batch had no result for it"
    error = result.get("error")
    if isinstance(error, dict):
        return None, str(error.get("message") or error.get("code") or "failed")
    response = result.get("response")
    if not isinstance(response, dict) or response.get("status_code") != 200:
        status = response.get("status_code") if isinstance(response, dict) else None
        return None, f"the request failed in the batch ({status})"
    try:
        return read_answer(response.get("body")), ""
    except ValueError as error_:
        return None, f"the answer is not a chat completion: {error_}"


def is_rejected(result: dict[str, Any] | None) -> bool:
    """Whether a result line says that the request as such cannot be answered."""
    response = result.get("response") if result is not None else None
    return isinstance(response, dict) and response.get("status_code") in (400, 422)


def sent_messages(line: dict[str, Any]) -> tuple[Message, ...]:
    """The messages of a request line, as it was uploaded."""
    body = line.get("body")
    listed = body.get("messages") if isinstance(body, dict) else None
    return tuple(listed) if isinstance(listed, list) else ()


def _no_batches(where: str, fault: Fault) -> tuple[str, str]:
    return (
        f"{where} did not take the batch: {fault.message}",
        "Label without `--batch`, or check that the server has a batch API.",
    )
