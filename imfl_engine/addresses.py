"""Addresses of servers: whose they are, and what must not stand in one."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

ADDRESS_HINT = (
    "An address looks like http://127.0.0.1:8000/v1; a key belongs into an environment variable, "
    "which annotator.key_name names."
)
KEY_LENGTH = 8
"""Characters from which a key cannot be in an address by chance."""
_KEY_IN_PATH = re.compile(
    r"/(?:sk|pk|rk|gsk|hf|xai|ghp)(?:-[A-Za-z0-9]{1,8}){0,2}[-_](?=[A-Za-z]*\d)[A-Za-z0-9]{12,}|/AIza"
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


def address_problem(base_url: str | None, keys: Sequence[str] = ()) -> str | None:
    """What is wrong with an address, to follow what it is for; None for nothing.

    One with a secret, as one of ``keys`` or what looks like one, is refused, because settings are written to
    the project file.
    """
    if base_url is None:
        return None
    try:
        parts = urlsplit(base_url)
        secret = bool(parts.password or parts.username or parts.query or parts.fragment)
        _ = parts.port  # raises for one that cannot be
    except ValueError:
        return "is no http address"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return "is no http address"
    if secret:
        return "holds a user, a password, a query or a fragment, which would be written to the project file"
    if _KEY_IN_PATH.search(parts.path) or any(
        len(key) >= KEY_LENGTH and key in base_url for key in keys
    ):
        return "holds a key, or what looks like one, which would be written to the project file"
    return None
