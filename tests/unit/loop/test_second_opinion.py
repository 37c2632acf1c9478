"""The second opinion: when it is asked for, and that nothing of it is left but the posteriors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imfl_engine.events import ModelReady, Progress, StepStarted, TrainingProgress
from imfl_engine.label_model import Evidence, LabelModel
from imfl_engine.loop.evidence import Gathered
from imfl_engine.loop.second_opinion import is_believable, is_wanted, remove_halves
from imfl_engine.replay.run import annotator_of
from imfl_engine.settings import Settings, parse_settings
from imfl_engine.types import StepKind


def settings(annotator: str = "openai:some-model", **training: str) -> Settings:
    return parse_settings(
        {
            "task": {"labels": [{"name": "a"}, {"name": "b"}]},
            "annotator": {"spec": annotator},
            "training": training,
        }
    )


def gathered(count: int = 60, *, llm: bool = True) -> Gathered:
    human = np.where(np.arange(count) < 20, 0, -1)
    said = np.where(human < 0, 1 if llm else -1, -1)
    return Gathered(Evidence(np.arange(count), None, human, said), ("a", "b"), 0)


@pytest.mark.parametrize(
    ("training", "last", "wanted"),
    [
        ({"target": "minilm"}, False, False),
        ({"target": "minilm"}, True, True),
        ({"target": "minilm", "second_opinion": "always"}, False, True),
        ({"target": "minilm", "second_opinion": "never"}, True, False),
        ({"target": "minilm", "loss": "two-mean"}, True, False),
        ({"target": "minilm", "mode": "continue"}, True, False),
        ({"target": "probe"}, True, False),
    ],
)
def test_it_is_asked_for_before_the_last_training_of_a_fine_tuned_target(training, last, wanted):
    assert is_wanted(settings(**training), gathered(), last=last) is wanted


def test_it_is_not_asked_for_with_few_labels_or_without_an_llm():
    chosen = settings(target="minilm")
    assert not is_wanted(chosen, gathered(39), last=True)
    assert not is_wanted(chosen, gathered(llm=False), last=True)


def test_it_is_not_asked_for_with_labels_that_are_made_of_the_human_ones():
    chosen = settings("neighbours", target="minilm", second_opinion="always")
    assert not is_wanted(chosen, gathered(), last=True)


@pytest.mark.parametrize(("errors_expected", "believed"), [(8.0, True), (3.0, False)])
def test_it_is_not_heard_where_it_trusts_the_llm_more_than_the_human_labels_do(
    errors_expected: float, believed: bool
):
    human = np.where(np.arange(120) < 80, 0, -1)
    said = np.where(np.arange(120) < 20, 1, 0)  # wrong on a quarter of the pairs: .17 to .35
    nothing = np.zeros((120, 2))
    fitted = LabelModel(
        np.arange(120), nothing, nothing, np.zeros(120), None, 0.8, errors_expected, np.ones(2)
    )
    assert is_believable(Evidence(np.arange(120), None, human, said), fitted) is believed


def test_what_a_kill_has_left_of_the_halves_is_removed(tmp_path: Path):
    for name in ("half-of-round-3", ".half-of-round-3.new", "round-3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"0")
    remove_halves(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["round-3"]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_last_round_hears_both_halves_and_keeps_only_the_posteriors(make) -> None:
    project = await make(
        annotator={"spec": "simulated:0.8"},
        training={"target": "minilm", "epochs": 1, "max_length": 32, "frozen_layers": 5},
    )
    project.context.annotator_of = annotator_of
    events = [event async for event in project.advance(gold=True)]
    started = [(e.step.round, e.step.kind) for e in events if isinstance(e, StepStarted)]
    last = events[[_is_training(event, 2) for event in events].index(True) :]
    heard = [e for e in last if isinstance(e, Progress) and e.detail == "second opinion"]
    assert heard[-1].done == heard[-1].total
    assert [e.done for e in heard] == sorted(e.done for e in heard)
    # The training that follows is part of the time left, to the halves' last step.
    final = next(e for e in last if isinstance(e, TrainingProgress))
    assert all(e.eta_seconds > final.total / final.samples_per_second for e in heard)
    before = events[: len(events) - len(last)]
    assert not any(e.detail == "second opinion" for e in before if isinstance(e, Progress))
    measured = [e for e in events if isinstance(e, Progress) and e.job == "evaluate"]
    assert measured[-1].eta_seconds == 0
    assert (2, StepKind.TRAIN) in started
    assert sum(isinstance(event, ModelReady) for event in events) == 3
    folders = {path.name for path in project.context.files.iterdir() if path.is_dir()}
    assert not any(name.startswith("half") for name in folders)
    assert (await project.status()).trust.expected_errors is not None


def _is_training(event: object, round_: int) -> bool:
    return isinstance(event, StepStarted) and (event.step.kind, event.step.round) == (
        StepKind.TRAIN,
        round_,
    )
