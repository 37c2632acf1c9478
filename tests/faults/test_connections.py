"""An address that cannot be reached: the sentence says why and what to change, at once."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.annotate import endpoint as endpoint_module
from imfl_engine.errors import EndpointError

Serve = Callable[[ssl.SSLContext | None], int]


class Refusing(BaseHTTPRequestHandler):
    """A server that takes no request, and a proxy that lets none through."""

    def do_CONNECT(self) -> None:
        self.send_error(407)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def listen() -> Iterator[Serve]:
    """Start a plain or a TLS server on loopback; returns its port."""
    servers = []

    def start(context: ssl.SSLContext | None = None) -> int:
        server = HTTPServer(("127.0.0.1", 0), Refusing)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(params=["aiohttp", "httpx"], autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both HTTP clients, and no proxy of the machine."""
    fast = request.param == "aiohttp"
    monkeypatch.setattr(endpoint_module.Endpoint, "_fast_transport", staticmethod(lambda: fast))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def refusal(annotator_for: Any, serve: Any) -> Callable[[str], Any]:
    """Return the error that an address ends in."""

    async def ask(address: str) -> EndpointError:
        annotator = annotator_for(serve(), base_url=address)
        with pytest.raises(EndpointError) as refused:
            await annotator.check()
        return refused.value

    return ask


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_nobody_vouches_for(
    listen: Serve, refusal: Callable[[str], Any], self_signed: ssl.SSLContext
) -> None:
    error = await refusal(f"https://localhost:{listen(self_signed)}/v1")
    assert "certificate is not trusted (self-signed certificate)" in error.message
    assert "SSL_CERT_FILE" in error.hint


async def test_https_to_a_server_without_it(listen: Serve, refusal: Callable[[str], Any]) -> None:
    error = await refusal(f"https://127.0.0.1:{listen(None)}/v1")
    assert "does not speak TLS" in error.message
    assert "http://" in error.hint


async def test_a_name_that_is_not_known(refusal: Callable[[str], Any]) -> None:
    error = await refusal("http://nowhere.invalid/v1")
    assert "the name nowhere.invalid is not known" in error.message


@pytest.mark.filterwarnings("ignore:.*(BasicAuth|proxy_auth):DeprecationWarning")
async def test_a_proxy_that_refuses_or_is_not_there(
    listen: Serve, refusal: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"127.0.0.1:{listen(None)}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{proxy}")
    error = await refusal("https://elsewhere.invalid/v1")
    assert f"the proxy {proxy} refuses (407" in error.message
    assert "HTTPS_PROXY" in error.hint
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@127.0.0.1:1")
    error = await refusal("https://elsewhere.invalid/v1")
    assert "through the proxy 127.0.0.1:1" in error.message
    assert "secret" not in f"{error.message} {error.hint}"
