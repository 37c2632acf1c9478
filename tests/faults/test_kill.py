"""kill -9 in the middle of a run: nothing paid for is lost, nothing is bought twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
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


def killed_run(
    path: Path, server: Any, *, items: int, concurrency: int, kills: int, wait: float
) -> int:
    """Start the run again and again, killing it ``kills`` times; how often it really died."""
    rng = random.Random(kills)
    deaths = 0
    for _ in range(kills):
        worker = begin(path, server, items, concurrency)
        assert worker.stdout is not None
        worker.stdout.readline()
        time.sleep(rng.random() * wait)
        worker.send_signal(signal.SIGKILL)
        deaths += worker.wait() == -signal.SIGKILL
        worker.stdout.close()
    last = begin(path, server, items, concurrency)
    last.communicate(timeout=300)
    assert last.returncode == 0
    return deaths


def check_books(path: Path, server: Any, *, items: int, concurrency: int, deaths: int) -> None:
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
    assert len(paid) <= items + deaths * most_unsettled(concurrency)
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
    assert 0 <= unmatched <= len(lost) <= deaths * most_open
    assert balance.reserved == 0
    assert balance.spent == pytest.approx(sum(c[2] * 1e-6 + c[3] * 2e-6 for c in settled))


def test_three_kills_lose_no_paid_reply(serve: Any, tmp_path: Path) -> None:
    server = serve(latency=0.1)
    path = tmp_path / "p.db"
    deaths = killed_run(path, server, items=240, concurrency=16, kills=3, wait=0.3)
    assert deaths >= 2
    check_books(path, server, items=240, concurrency=16, deaths=deaths)


@pytest.mark.slow
def test_twenty_kills_of_a_run_of_a_thousand_lose_no_paid_reply(serve: Any, tmp_path: Path) -> None:
    server = serve(latency=0.2)
    path = tmp_path / "p.db"
    deaths = killed_run(path, server, items=1000, concurrency=64, kills=20, wait=0.25)
    print("killed", deaths, "times; requests", len(server.log()))
    assert deaths >= 15
    check_books(path, server, items=1000, concurrency=64, deaths=deaths)
