"""A replay on the small sample data: the same loop, resumable, one row an arm and seed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from imfl_engine.data.guess import Columns
from imfl_engine.data.reading import open_source
from imfl_engine.replay import ReplayConfig, RowFinished, parse_arms, read_rows, replay
from imfl_engine.settings import parse_settings


@pytest.fixture
def config(tmp_path):
    """Three topics told apart by their words; 90 items, a third of them for testing."""
    rng = np.random.default_rng(0)
    topics = {
        "weather": ["rain", "storm", "cloudy", "sunshine", "frost"],
        "music": ["guitar", "drums", "melody", "concert", "choir"],
        "food": ["soup", "bread", "cheese", "dinner", "salad"],
    }
    rows = []
    for number in range(90):
        label = list(topics)[number % 3]
        words = rng.choice(topics[label], 3)
        text = f"Note {number}: {' and '.join(words)}"
        rows.append({"id": f"n{number}", "text": text, "label": label})
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    settings = parse_settings(
        {
            "task": {"labels": [{"name": name} for name in topics]},
            "budget": {"human": 12, "llm": 18, "rounds": 2},
            "annotator": {"spec": "simulated:0.8"},
            "training": {"target": "probe", "device": "cpu"},
        }
    )
    source = open_source(path, Columns("text", None, None, "label", "id"), test_fraction=0.3)

    def make(arms):
        return ReplayConfig(
            "notes", settings, [source], parse_arms(arms), [0], tmp_path / "r.parquet", threads=1
        )

    return make


async def finished(config):
    return [event async for event in replay(config) if isinstance(event, RowFinished)]


async def test_every_arm_gives_a_row_and_a_second_replay_only_runs_what_is_missing(config):
    first = await finished(config("eeq,human-12"))
    assert [event.row.arm for event in first] == ["eeq", "human-12"]
    both, alone = (event.row for event in first)
    assert (both.human, both.llm, both.simulated) == (12, 18, True)
    assert (alone.human, alone.llm, alone.annotator) == (12, 0, "none")
    assert both.accuracy is not None
    assert both.accuracy > 0.6
    assert both.llm_accuracy is not None
    assert len(both.curve) >= 2
    again = await finished(config("eeq,random+two-mean"))
    assert [event.reused for event in again] == [True, False]
    assert len(read_rows(config("eeq").out)) == 3
    assert not config("eeq").folder.exists()
