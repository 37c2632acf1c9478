"""The fault-injecting server as a process, and what it says about itself."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVER = Path(__file__).with_name("server.py")


@dataclass
class Running:
    """A server process and its address."""

    process: subprocess.Popen[str]
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def log(self) -> list[dict[str, Any]]:
        return self._get("/_log")["log"]

    def most_in_flight(self) -> int:
        return self._get("/_log")["most_in_flight"]

    def in_flight(self) -> int:
        return int(self._get("/_in_flight"))

    def configure(self, **values: Any) -> None:
        self.post("/_config", values)

    def post(self, path: str, values: dict[str, Any]) -> None:
        data = json.dumps(values).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        urllib.request.urlopen(request, timeout=10).close()

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


def start(**config: Any) -> Running:
    """Start a server with this configuration."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), json.dumps(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return Running(process, int(process.stdout.readline()))
