"""kill -9 in the middle of a run: nothing paid for is lost, nothing is bought twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imfl_engine.annotate.item import most_unsettled
from imfl_engine.annotate.run import SPARE
from imfl_engine.store import replies
from imfl_engine.store.database import Database
from imfl_engine.types import Purpose

REPOSITORY = Path(__file__).resolve().parents[2]


def begin(path: Path, server: Any, items: int, concurrency: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).with_name("worker.py")),
            *(str(path), server.base_url, str(items), str(concurrency)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


@dataclass(frozen=True)
class Death:
    """A kill: how many items had a reply by then, and how many requests the server was answering."""

    done: int
    in_flight: int


def killed_run(
    path: Path, server: Any, *, items: int, concurrency: int, kills: int, seed: int
) -> list[Death]:
    """Start the run again and again, killing it at ``kills`` moments spread over all of it.

    One kill in five comes at any time after the start: before there is a connection, while what the
    death before left is written off, or soon after.
    """
    rng = random.Random(seed)
    deaths, done = [], 0
    for part in range(kills):
        moment = int((part + rng.random()) / kills * items)
        worker = begin(path, server, items, concurrency)
        assert worker.stdout is not None
        if rng.random() < 0.2:
            time.sleep(rng.random() * 2.5)
        else:
            while done < moment:
                done = max(done, int(worker.stdout.readline()))
            time.sleep(rng.random() * 0.05)
        worker.send_signal(signal.SIGKILL)
        in_flight = server.in_flight()
        if worker.wait() == -signal.SIGKILL:
            done = max([done, *map(int, worker.stdout.read().split())])
            deaths.append(Death(done, in_flight))
        worker.stdout.close()
    last = begin(path, server, items, concurrency)
    last.communicate(timeout=300)
    assert last.returncode == 0
    return deaths


def check_books(
    path: Path, server: Any, *, items: int, concurrency: int, deaths: list[Death]
) -> None:
    database = Database.open(path)
    try:
        labelled = database.read_now(lambda con: replies.latest(con, Purpose.ANNOTATE))
        balance = database.read_now(replies.balance)
        charges = database.read_now(
            lambda con: con.execute(
                "SELECT item_id, state, input_tokens, output_tokens, usd FROM charge_states "
                "ORDER BY charge_id"
            ).fetchall()
        )
        copies = database.read_now(
            lambda con: con.execute("SELECT count(*) FROM replies").fetchall()
        )[0][0]
    finally:
        database.close()
    assert len(labelled) == items
    assert copies == items
    assert all(reply.label for reply in labelled.values())

    answered = [entry for entry in server.log() if entry["delivered"]]
    settled = [charge for charge in charges if charge[1] == "settled"]
    lost = [charge for charge in charges if charge[1] == "lost"]
    paid = [entry for entry in answered if "sky" not in entry["item"]]
    # In flight for us are also the answers that were on their way to us and to the disk.
    on_the_way = most_unsettled(concurrency) - concurrency
    assert len(paid) <= items + sum(death.in_flight + on_the_way for death in deaths)
    # Every settled charge is one answer of the server, with its tokens; the rest were in flight.
    theirs = Counter((e["item"], e["input"], e["output"]) for e in answered)
    ours = Counter(
        (f"Item {c[0]} went up by {c[0]}.", int(c[2]), int(c[3])) for c in settled if c[0] >= 0
    )
    assert ours <= theirs
    assert sum(ours.values()) == items
    unmatched = len(answered) - len(settled)
    # Beside those in flight, the charges of the items that wait for a slot are open at a kill.
    most_open = concurrency + int(concurrency * SPARE) + 1
    assert 0 <= unmatched <= len(lost) <= len(deaths) * most_open
    assert balance.reserved == 0
    assert balance.spent == pytest.approx(sum(c[2] * 1e-6 + c[3] * 2e-6 for c in settled))


def check_spread(deaths: list[Death], items: int, kills: int) -> None:
    """The kills came early and late, and cut requests short."""
    assert len(deaths) >= 0.9 * kills
    assert min(death.done for death in deaths) < items / 3
    assert max(death.done for death in deaths) > items * 2 / 3
    assert sum(death.in_flight for death in deaths) > 0


def test_three_kills_lose_no_paid_reply(serve: Any, tmp_path: Path) -> None:
    server = serve(latency=0.1)
    path = tmp_path / "p.db"
    deaths = killed_run(path, server, items=150, concurrency=16, kills=3, seed=8)
    check_spread(deaths, items=150, kills=3)
    check_books(path, server, items=150, concurrency=16, deaths=deaths)


@pytest.mark.slow
def test_twenty_kills_of_a_run_of_a_thousand_lose_no_paid_reply(serve: Any, tmp_path: Path) -> None:
    server = serve(latency=0.2)
    path = tmp_path / "p.db"
    deaths = killed_run(path, server, items=1000, concurrency=64, kills=20, seed=20)
    print("killed at", *(f"{death.done} (+{death.in_flight})" for death in deaths))
    print("requests", len(server.log()))
    check_spread(deaths, items=1000, kills=20)
    check_books(path, server, items=1000, concurrency=64, deaths=deaths)
