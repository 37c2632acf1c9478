"""The more classes there are, the faster a new head learns."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compute_helpers import make_job, make_texts

from imfl_engine.compute import finetune
from imfl_engine.compute.job import Job
from imfl_engine.compute.models import Workshop
from imfl_engine.compute.recipe import Recipe


def test_a_head_of_few_classes_learns_at_the_bodys_rate_and_none_more_than_ten_times_faster() -> (
    None
):
    assert [finetune.head_pace(classes) for classes in (1, 2, 3, 6)] == [1, 1, 1, 1]
    assert finetune.head_pace(12) == 2
    assert finetune.head_pace(77) == finetune.head_pace(1_000) == 10
    paces = [finetune.head_pace(classes) for classes in range(1, 100)]
    assert all(pace <= following for pace, following in itertools.pairwise(paces))


@pytest.mark.parametrize("frozen", [0, 3])
def test_a_fine_tune_of_many_classes_gives_the_head_its_own_rate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, frozen: int
) -> None:
    recipes: list[Recipe] = []

    def stop(job: Any, device: Any, spec: Any, recipe: Recipe, **others: Any) -> None:
        recipes.append(recipe)
        raise InterruptedError

    monkeypatch.setattr(finetune, "optimise", stop)
    texts = make_texts()
    for classes in (3, 77):
        spec = replace(
            make_job(tmp_path / "model", texts, target="minilm", frozen_layers=frozen),
            labels=tuple(f"class {number}" for number in range(classes)),
            targets=np.eye(classes, dtype=np.float32)[texts.classes],
        )
        workshop = Workshop.open("cpu:float32", 1, tmp_path)
        with pytest.raises(InterruptedError):
            finetune.fit_encoder(Job(0, tmp_path, lambda message: None), workshop, spec)
    few, many = recipes
    assert few.head_learning_rate == few.learning_rate == many.learning_rate
    assert many.head_learning_rate == pytest.approx(10 * many.learning_rate)
