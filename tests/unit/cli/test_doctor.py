from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

Cli = Callable[..., Any]
KEY = "sk-this-value-must-never-appear"


class _Refuses(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Refuses) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def named(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(check for check in report["checks"] if check["name"] == name)


def test_a_key_given_as_the_name_of_a_variable_is_refused_and_not_repeated(cli: Cli) -> None:
    for given in (KEY, "sk_" + "a1B2" * 8):
        outcome = cli("doctor", "--key-name", given)
        assert outcome.code == 2
        assert "the key itself stays there" in outcome.err
        assert given not in outcome.out + outcome.err


def test_everything_is_checked_and_no_key_is_shown(
    cli: Cli, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_KEY", KEY)
    outcome = cli("doctor", "--json", "--base-url", endpoint, "--key-name", "MY_KEY")
    report = outcome.json
    assert outcome.code == 0, report
    assert report["ok"]
    assert KEY not in outcome.out
    assert {check["section"] for check in report["checks"]} == {
        "versions", "device", "terminal", "endpoint", "keys", "disk", "package data", "log",
    }  # fmt: skip
    assert named(report, "OPENAI_API_KEY")["value"] == "set"
    assert named(report, "MY_KEY")["value"] == "set"
    assert named(report, "HF_TOKEN")["value"] == "not set"
    answering = next(check for check in report["checks"] if check["section"] == "endpoint")
    assert (answering["state"], answering["value"]) == ("ok", "answers (401)")
    assert named(report, "minilm weights")["state"] == "ok"


def test_a_dead_endpoint_is_a_problem(cli: Cli) -> None:
    outcome = cli("doctor", "--base-url", "http://127.0.0.1:9/v1")
    assert outcome.code == 1
    assert "no answer" in outcome.out
    assert "1 problem found" in outcome.err


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/sk-proj-4f9a8b7c6d5e4f3a/v1",
        "http://me:4f9a8b7c6d5e@127.0.0.1:9/v1",
        "http://127.0.0.1:9/of-my-own-form-4f9a8b7c6d5e/v1",
    ],
)
def test_an_address_with_a_secret_is_a_problem_and_not_shown(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-my-own-form-4f9a8b7c6d5e")
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    outcome = cli("doctor")
    assert outcome.code == 1
    assert "4f9a8b7c6d5e" not in outcome.out + outcome.err
    assert "the address holds" in outcome.out
