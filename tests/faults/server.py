"""A server that speaks OpenAI's chat completions and batches, badly on purpose.

Real HTTP on loopback, in a process of its own, with a log of what it did and would have billed, so
that a client's books can be compared with the provider's. Start it with ``python server.py
'{"latency": 0.2}'``; it prints its port. ``GET /_log`` gives the log, ``GET /_in_flight`` how
many requests are being answered, ``POST /_config`` changes the configuration.

The "model" answers with a label that depends on the item's text alone (`truth`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

FAULTS = (
    "429",
    "429-after",
    "500",
    "503",
    "timeout",
    "drop",
    "drop-half",
    "cut-body",
    "cut-text",
    "wrong-label",
    "empty",
    "prose",
    "refusal",
    "duplicate",
    "contradiction",
    "usage-missing",
    "usage-zero",
    "usage-negative",
    "usage-huge",
    "usage-words",
)
"""Every way to be at fault; see `Server.complete`."""
FORBIDDEN = "403"
"""Moderation of one item; not among the faults, because it looks like a refused key."""
NO_CREDIT = "429-quota"
"""The account is empty: a 429 that no waiting helps."""
UNANSWERED = {"429", "429-after", "500", "503", FORBIDDEN, NO_CREDIT}
UNDELIVERED = {"timeout", "drop", "drop-half", "cut-body"}
UNUSABLE = {"cut-text", "wrong-label", "empty", "prose", "contradiction"}


@dataclass
class Config:
    latency: float = 0.0
    faults: tuple[str, ...] = ()
    fault_share: float = 0.0
    seed: int = 0
    hang: float = 5.0
    retry_after: float = 0.05
    retry_as_date: bool = False
    structured: str = "enforce"  # enforce | ignore | reject | reject-silently
    logprobs: bool = True
    reasoning: int = 0  # hidden tokens before every answer
    thinks_beyond: str = ""  # the limit; told in details, apart from the answer, or in the total
    adds_to_prompt: int = 0  # tokens that are billed with every request
    refuses: tuple[str, ...] = ()  # parameters answered with 400
    window: int = 0
    longest_repair: int = 0  # tokens of a request for a repair, above which it is too long
    gullible: bool = False  # does what the item says
    cached: int = 0
    key: str = ""
    tell_key: bool = False
    down: bool = False
    rate: float = 0.0  # requests a second before 429
    refuse_batches: bool = False
    keep_inputs: bool = False  # what was uploaded is not given back
    batch_delay: float = 0.2
    batch_expires: float = 0.0  # share of requests that expire
    batch_fails: float = 0.0  # share of requests answered with an error line
    batch_done: float = 0.4  # share of requests done when a batch is cancelled


def truth(text: str, labels: list[str]) -> str:
    """The label that the model gives ``text``."""
    return labels[int(hashlib.sha256(text.encode()).hexdigest(), 16) % len(labels)]


def count(text: str) -> int:
    """The model's tokenizer."""
    return len(re.findall(r"\w{1,6}|[^\w\s]", text))


@dataclass
class Server:
    config: Config
    log: list[dict[str, Any]] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    in_flight: int = 0
    most_in_flight: int = 0
    times: list[float] = field(default_factory=list)

    # -- HTTP ---------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                headers = {
                    k.lower(): v.strip()
                    for k, v in (x.split(":", 1) for x in lines[1:] if ":" in x)
                }
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self.answer(method, path, headers, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def answer(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """Answer one request; False closes the connection."""
        path, _, query = path.partition("?")
        if path == "/_log":
            log = {"log": self.log, "most_in_flight": self.most_in_flight}
            return await send(writer, 200, log)
        if path == "/_in_flight":
            return await send(writer, 200, self.in_flight)
        if path == "/_config":
            for name, value in json.loads(body).items():
                setattr(self.config, name, value)
            return await send(writer, 200, {})
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self.config.key and given != self.config.key:
            said = f"Incorrect API key provided: {given}"
            return await send(writer, 401, error(said, code="invalid_api_key"))
        if path.endswith("/chat/completions"):
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            try:
                return await self.chat(json.loads(body), given, writer)
            finally:
                self.in_flight -= 1
        return await self.batch_api(method, path, query, headers, body, writer)

    # -- chat completions ---------------------------------------------------------------------

    async def chat(self, body: dict[str, Any], key: str, writer: asyncio.StreamWriter) -> bool:
        config = self.config
        due = time.monotonic() + config.latency
        bad = self.bad_request(body)
        item = item_of(body)
        number = self.asked.get(item, 0) + 1
        fault = self.fault(item, number)
        # Making the answer is part of the latency, not on top of it.
        reply, billed = ({}, (0, 0)) if bad or fault in UNANSWERED else self.complete(body, fault)
        payload = json.dumps(reply).encode()
        if config.latency:
            await asyncio.sleep(due - time.monotonic())
        now = time.monotonic()
        if config.rate:
            self.times = [t for t in self.times if now - t < 1.0]
            if len(self.times) >= config.rate:
                self.note(body, "429", billed=False, delivered=False)
                after = {"retry-after-ms": str(int(config.retry_after * 1000))}
                return await send(writer, 429, error("slow down"), after)
            self.times.append(now)
        if bad is not None:
            self.note(body, "400", billed=False, delivered=False)
            return await send(writer, 400, bad)
        self.asked[item] = number
        if config.tell_key and fault in UNANSWERED:
            said = f"internal trouble while serving Bearer {key} ({key})"
        else:
            said = "trouble"
        if fault in UNANSWERED:
            self.note(body, fault, billed=False, delivered=False)
            status = 429 if fault.startswith("429") else int(fault)
            until = formatdate(time.time() + config.retry_after, usegmt=True)
            wait = until if config.retry_as_date else str(config.retry_after)
            after = {"retry-after": wait} if fault == "429-after" else {}
            code = "insufficient_quota" if fault == NO_CREDIT else None
            return await send(writer, status, error(said, code=code), after)
        delivered = fault not in UNDELIVERED
        entry = self.note(body, fault, billed=True, delivered=delivered, tokens=billed)
        entry["usage_ok"] = not fault.startswith("usage")
        entry["usable"] = delivered and fault not in UNUSABLE
        if fault == "timeout":
            await asyncio.sleep(config.hang)
            return False
        if fault == "drop":
            return False
        if fault == "drop-half":
            writer.write(head(200, len(payload)) + payload[: len(payload) // 2])
            await writer.drain()
            return False
        if fault == "cut-body":
            payload = payload[: len(payload) // 2]
        return await send(writer, 200, payload)

    def bad_request(self, body: dict[str, Any]) -> dict[str, Any] | None:
        config = self.config
        for name in config.refuses:
            if name in body:
                return error(f"Unsupported parameter: '{name}' is not supported.", param=name)
        if config.structured == "reject" and "response_format" in body:
            return error("response_format of type json_schema is not available")
        if config.structured == "reject-silently" and "response_format" in body:
            return error("bad request")
        if config.reasoning and "max_tokens" in body:
            return error(
                "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
                param="max_tokens",
            )
        if config.reasoning and body.get("temperature") not in (None, 1):
            return error("Unsupported value: 'temperature'", param="temperature")
        tokens = prompt_tokens(body)
        if config.longest_repair and tokens > config.longest_repair and is_repair(body):
            return error("The prompt is too long.")
        if config.window and tokens + output_limit(body) > config.window:
            return error(
                f"This model's maximum context length is {config.window} tokens, you asked for "
                f"{tokens} in the messages.",
                code="context_length_exceeded",
            )
        return None

    def fault(self, item: str, number: int) -> str:
        """The fault of the n-th request about an item, the same for the same seed."""
        config = self.config
        if not config.faults:
            return ""
        rng = random.Random(f"{config.seed}/{item}/{number}")
        return rng.choice(config.faults) if rng.random() < config.fault_share else ""

    def complete(self, body: dict[str, Any], fault: str) -> tuple[dict[str, Any], tuple[int, int]]:
        """The chat completion, and the tokens that are billed for it."""
        config = self.config
        schema = body.get("response_format") if config.structured == "enforce" else None
        if schema is None:
            body = {name: value for name, value in body.items() if name != "response_format"}
        labels = labels_of(body)
        item = item_of(body)
        label = truth(item, labels) if labels else "blue"
        text = json.dumps({"label": label}) if wants_json(body) else label
        if config.gullible:
            order = re.search(r'(?:answer|say|output|reply)[^"“]*["“]([^"”]+)["”]', item, re.I)
            if order:
                text = order.group(1)
            elif re.search(
                r"(repeat|print|reveal|show).{0,40}(prompt|instruction|rule)", item, re.I
            ):
                text = body["messages"][0]["content"]
        if schema is not None and not fault:
            allowed = schema["json_schema"]["schema"]["properties"]["label"]["enum"]
            try:
                said = json.loads(text)["label"]
            except (ValueError, KeyError, TypeError):
                said = text
            text = json.dumps({"label": said if said in allowed else allowed[0]})
        text = {
            "cut-text": '{"label": "' + label[:2],
            "wrong-label": json.dumps({"label": "no such label"}),
            "empty": "",
            "prose": f"Well, I would say that this is {label}, but who knows.",
        }.get(fault, text)
        finish, refusal = ("length" if fault == "cut-text" else "stop"), None
        if fault == "refusal":
            text, refusal = "", "I can't help with that."
        limit = output_limit(body)
        output = count(text) + config.reasoning
        if config.reasoning and output > limit and not config.thinks_beyond:
            text, output, finish = "", limit, "length"
        message = {"role": "assistant", "content": text or None, "refusal": refusal}
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": finish}
        if config.logprobs and body.get("logprobs") and labels and not fault:
            choice["logprobs"] = {"content": logprobs(text, label, labels)}
        choices = [choice]
        if fault in ("duplicate", "contradiction"):
            other = next((x for x in labels if x != label), label)
            copy = label if fault == "duplicate" else other
            content = json.dumps({"label": copy}) if wants_json(body) else copy
            choices.append({**choice, "index": 1, "message": {**message, "content": content}})
        prompt = prompt_tokens(body) + config.adds_to_prompt
        cached = min(config.cached, prompt)
        usage: Any = {
            "prompt_tokens": prompt,
            "completion_tokens": output,
            "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": min(config.reasoning, output)},
        }
        if config.thinks_beyond in ("apart", "total"):
            usage["completion_tokens"] = output - config.reasoning
        if config.thinks_beyond == "total":
            usage["completion_tokens_details"] = None
        usage = {
            "usage-missing": None,
            "usage-zero": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
            "usage-negative": {**usage, "prompt_tokens": -prompt},
            "usage-huge": {**usage, "prompt_tokens": 10**8, "completion_tokens": 10**8},
            "usage-words": {"prompt_tokens": "many", "completion_tokens": None},
        }.get(fault, usage)
        reply = {
            "id": f"chatcmpl-{len(self.log)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": body.get("model"),
            "choices": choices,
            "usage": usage,
        }
        return reply, (prompt, output)

    def note(
        self,
        body: dict[str, Any],
        fault: str,
        *,
        billed: bool,
        delivered: bool,
        tokens: tuple[int, int] = (0, 0),
        batch: bool = False,
    ) -> dict[str, Any]:
        entry = {
            "item": item_of(body),
            "fault": fault,
            "billed": billed,
            "delivered": delivered,
            "usable": False,
            "usage_ok": True,
            "input": tokens[0],
            "output": tokens[1],
            "repair": is_repair(body),
            "batch": batch,
            "time": time.time(),
        }
        self.log.append(entry)
        return entry

    # -- batches ------------------------------------------------------------------------------

    async def batch_api(
        self,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: bytes,
        writer: asyncio.StreamWriter,
    ) -> bool:
        parts = path.strip("/").split("/")[1:]
        if self.config.refuse_batches:
            return await send(writer, 404, error("Not Found"))
        if parts == ["files"] and method == "POST":
            name = f"file-{len(self.files)}"
            boundary = headers["content-type"].split("boundary=")[1].strip('"').encode()
            for part in body.split(b"--" + boundary):
                top, _, content = part.partition(b"\r\n\r\n")
                if b'name="file"' in top:
                    self.files[name] = content.removesuffix(b"\r\n")
            return await send(writer, 200, {"id": name, "object": "file", "purpose": "batch"})
        uploaded = {batch["input_file_id"] for batch in self.batches.values()}
        if parts[0] == "files" and self.config.keep_inputs and parts[1] in uploaded:
            return await send(writer, 400, error("Not allowed to download files of this purpose."))
        if parts[0] == "files" and parts[-1] == "content":
            return await send(writer, 200, self.files[parts[1]])
        if parts == ["batches"] and method == "POST":
            wanted = json.loads(body)
            name = f"batch-{len(self.batches)}"
            self.batches[name] = {
                "id": name,
                "object": "batch",
                "endpoint": wanted["endpoint"],
                "completion_window": "24h",
                "input_file_id": wanted["input_file_id"],
                "metadata": wanted.get("metadata"),
                "status": "validating",
                "created_at": int(time.time()),
                "ready": time.time() + self.config.batch_delay,
            }
            return await send(writer, 200, self.batches[name])
        if parts == ["batches"]:
            newest = list(self.batches.values())[::-1]
            asked = dict(parse_qsl(query))
            names = [batch["id"] for batch in newest]
            first = names.index(asked["after"]) + 1 if "after" in asked else 0
            page = newest[first : first + int(asked.get("limit", 20))]
            more = first + len(page) < len(newest)
            return await send(writer, 200, {"object": "list", "data": page, "has_more": more})
        if parts[0] == "batches":
            batch = self.batches.get(parts[1])
            if batch is None:
                return await send(writer, 404, error(f"No batch found with id '{parts[1]}'."))
            if parts[-1] == "cancel":
                self.finish(batch, done=self.config.batch_done)
                return await send(writer, 200, batch)
            if batch["status"] in ("validating", "in_progress"):
                batch["status"] = "in_progress"
                if time.time() >= batch["ready"]:
                    self.finish(batch)
            return await send(writer, 200, batch)
        return await send(writer, 404, error("no such page"))

    def finish(self, batch: dict[str, Any], *, done: float | None = None) -> None:
        """Do a batch: some requests fail, some expire, the successes stay; ``done`` cuts it short."""
        config = self.config
        good, bad, expired = [], [], 0
        lines = self.files[batch["input_file_id"]].decode().splitlines()
        for line in lines if done is None else lines[: round(done * len(lines))]:
            request = json.loads(line)
            body = request["body"]
            rng = random.Random(f"{config.seed}/{item_of(body)}/{len(self.batches)}")
            chance = rng.random()
            shared = {"id": f"r-{len(good)}", "custom_id": request["custom_id"]}
            if chance < config.batch_expires:
                expired += 1
                said = {"code": "batch_expired", "message": "This request could not be executed."}
                bad.append({**shared, "response": None, "error": said})
            elif refused := self.bad_request(body):
                answer = {"status_code": 400, "body": refused}
                bad.append({**shared, "response": answer, "error": None})
            elif chance < config.batch_expires + config.batch_fails:
                answer = {"status_code": 500, "body": error("trouble")}
                bad.append({**shared, "response": answer, "error": None})
            else:
                number = self.asked[item_of(body)] = self.asked.get(item_of(body), 0) + 1
                fault = self.fault(item_of(body), number)
                reply, tokens = self.complete(body, fault)
                self.note(body, fault, billed=True, delivered=True, tokens=tokens, batch=True)
                good.append(
                    {**shared, "response": {"status_code": 200, "body": reply}, "error": None}
                )
        for name, results in (("output_file_id", good), ("error_file_id", bad)):
            if results:
                batch[name] = f"file-{len(self.files)}"
                text = "\n".join(json.dumps(x) for x in results) + "\n"
                self.files[batch[name]] = text.encode()
        batch["status"] = "cancelled" if done is not None else "expired" if expired else "completed"
        total = len(good) + len(bad)
        batch["request_counts"] = {"total": total, "completed": len(good), "failed": len(bad)}


def error(message: str, *, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "error", "code": code, "param": param}}


def item_of(body: dict[str, Any]) -> str:
    """The item of a request: the last user message between the delimiters."""
    for message in reversed(body["messages"]):
        found = re.search(r"<item>\n(.*)\n</item>", message["content"], re.DOTALL)
        if found:
            return found.group(1)
    return body["messages"][-1]["content"]


def labels_of(body: dict[str, Any]) -> list[str]:
    schema = body.get("response_format")
    if schema:
        return schema["json_schema"]["schema"]["properties"]["label"]["enum"]
    return re.findall(r"^- ([^:\n]+)", body["messages"][0]["content"], re.MULTILINE)


def wants_json(body: dict[str, Any]) -> bool:
    return "JSON object" in body["messages"][0]["content"] or "response_format" in body


def is_repair(body: dict[str, Any]) -> bool:
    return len(body["messages"]) > 2 and "not a valid" in body["messages"][-1]["content"]


def prompt_tokens(body: dict[str, Any]) -> int:
    return 3 + sum(4 + count(m["content"]) for m in body["messages"])


def output_limit(body: dict[str, Any]) -> int:
    return int(body.get("max_completion_tokens") or body.get("max_tokens") or 100_000)


def logprobs(text: str, label: str, labels: list[str]) -> list[dict[str, Any]]:
    """0.7 for the label, the rest shared; every label is one token."""
    start = text.rfind(label)
    share = 0.3 / max(len(labels) - 1, 1)
    from math import log

    def token(word: str, p: float, top: list[dict[str, Any]]) -> dict[str, Any]:
        return {"token": word, "logprob": log(p), "top_logprobs": top}

    top = [{"token": x, "logprob": log(0.7 if x == label else share)} for x in labels]
    parts = [(text[:start], 1.0, []), (label, 0.7, top), (text[start + len(label) :], 1.0, [])]
    return [token(word, p, t) for word, p, t in parts if word]


def head(status: int, length: int, headers: dict[str, str] | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status} x",
        "content-type: application/json",
        f"content-length: {length}",
        *(f"{k}: {v}" for k, v in (headers or {}).items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def send(
    writer: asyncio.StreamWriter, status: int, body: Any, headers: dict[str, str] | None = None
) -> bool:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    writer.write(head(status, len(payload), headers) + payload)
    await writer.drain()
    return True


async def main(config: Config) -> None:
    server = Server(config)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=1024)
    print(listening.sockets[0].getsockname()[1], flush=True)
    # The parent's pipe closing is the sign to go.
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    given = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    unknown = set(given) - set(asdict(Config()))
    if unknown:
        raise SystemExit(f"unknown: {unknown}")
    asyncio.run(main(Config(**given)))
