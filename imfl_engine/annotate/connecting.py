"""Why an address could not be reached, in words that say what to change."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple, Protocol, runtime_checkable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_NO_SERVER = "Check that the server runs and that `--base-url` is right."


class NoConnection(NamedTuple):
    """What keeps the request from being sent, to follow "cannot be asked:", and what to do."""

    message: str
    hint: str
    lasting: bool
    """Whether trying again is pointless."""


def why_not_connected(error: BaseException, where: str) -> NoConnection:
    """Say why ``error`` kept a request from reaching ``where``, an address without credentials."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            failed = getattr(cause, "certificate_error", cause)  # aiohttp's wraps that of ssl
            return NoConnection(
                f"its certificate is not trusted ({failed.verify_message.rstrip('.')})",
                "If you trust the server, put its certificate's file into SSL_CERT_FILE.",
                lasting=True,
            )
        if isinstance(cause, ssl.SSLError):
            return NoConnection(
                "it does not speak TLS", "Perhaps the address begins with http://.", lasting=True
            )
        if isinstance(cause, socket.gaierror):
            return NoConnection(
                f"the name {_proxy_of(where) or _host_of(where)} is not known",
                _proxy_hint(where)
                if _proxy_of(where)
                else "Check the address, and that this machine is online.",
                lasting=False,
            )
        if type(cause).__name__ in ("ProxyError", "ClientHttpProxyError"):
            return NoConnection(
                f"the proxy {_proxy_of(where)} refuses ({_proxy_said(error)})",
                _proxy_hint(where),
                lasting=False,
            )
    if _proxy_of(where):
        return NoConnection(
            f"no connection to {where} through the proxy {_proxy_of(where)}",
            _proxy_hint(where),
            lasting=False,
        )
    return NoConnection(f"no connection to {where}", _NO_SERVER, lasting=False)


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exceptions that led to ``error``, the last one first."""
    cause = error.__cause__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _host_of(where: str) -> str:
    return urlsplit(where).hostname or where


def _proxy_of(where: str) -> str:
    """The proxy that requests to ``where`` go through, without credentials; empty for none."""
    parts = urlsplit(where)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return ""
    proxy = getproxies().get(parts.scheme) or getproxies().get("all") or ""
    return proxy.rpartition("@")[2].removeprefix(f"{urlsplit(proxy).scheme}://")


def _proxy_said(error: BaseException) -> str:
    """The proxy's status; aiohttp keeps it apart, httpx begins its message with it."""
    found = [cause.status for cause in causes(error) if isinstance(cause, _WithStatus)]
    return str(found[0] if found else next(causes(error)))


@runtime_checkable
class _WithStatus(Protocol):
    status: int


def _proxy_hint(where: str) -> str:
    name = f"{urlsplit(where).scheme.upper()}_PROXY"
    return f"Check {name}, or put {_host_of(where)} into NO_PROXY."
