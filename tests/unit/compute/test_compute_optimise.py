"""The training loop on a model of one layer: its loss, and where it stops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compute_helpers import make_job, make_texts

from imfl_engine.compute.devices import Device
from imfl_engine.compute.job import Job
from imfl_engine.compute.optimise import WeightedLoss, optimise
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.room import Room

CPU = Device(torch.device("cpu"), torch.float32, 1)
RECIPE = Recipe(epochs=12, learning_rate=0.1, head_learning_rate=0.1, batch_size=8, patience=3)
TEXTS = make_texts()
COUNT = len(TEXTS.inputs)
FEATURES = torch.randn(COUNT, 6, generator=torch.Generator().manual_seed(0))


def train(
    recipe: Recipe = RECIPE, states: list[torch.Tensor] | None = None, **changes: Any
) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """The weights afterwards, and what was told; ``states`` gets those before every step."""
    weight = torch.nn.Parameter(torch.zeros(3, 6))
    told: list[dict[str, Any]] = []

    def logits(rows: np.ndarray[Any, Any]) -> torch.Tensor:
        if states is not None:
            states.append(weight.detach().clone())
        return FEATURES[rows] @ weight.T

    optimise(
        Job(0, Path(), told.append),
        CPU,
        make_job(Path(), TEXTS, **changes),
        recipe,
        parameters=Parameters([weight], []),
        logits=logits,
        room=Room(np.ones(COUNT, np.int64)),
        set_training=lambda training: None,
    )
    return weight.detach(), told


def test_training_stops_when_validation_gets_worse_and_keeps_the_best_epoch() -> None:
    held = np.arange(COUNT) % 6 == 0
    # What is held out says the opposite of what is taught, so every epoch is worse than the first.
    targets = np.where(held[:, None], 1 - TEXTS.targets, TEXTS.targets) / 1.0
    targets = (targets / targets.sum(1, keepdims=True)).astype(np.float32)
    weight, told = train(validation=held, targets=targets)
    checks = [one["values"]["loss"] for one in told if one["event"] == "validation"]
    notices = [one["values"]["text"] for one in told if one["event"] == "notice"]
    best = int(np.argmin(checks))
    assert len(checks) == best + 1 + RECIPE.patience < RECIPE.epochs
    assert notices == [f"Training stopped early, after epoch {len(checks)}."]
    loss = torch.nn.functional.cross_entropy(
        FEATURES[held] @ weight.T, torch.from_numpy(targets[held])
    )
    assert abs(float(loss) - checks[best]) < 1e-5


def test_the_model_may_be_the_mean_of_every_fourth_of_the_last_states() -> None:
    states: list[torch.Tensor] = []
    last, _ = train(states=states)
    after = [*states[1:], last]
    taken = after[-1 : -1 - len(after) // 2 : -4]
    assert len(taken) > 2
    mean, _ = train(replace(RECIPE, averaged_share=0.5))
    torch.testing.assert_close(mean, torch.stack(taken).mean(0))
    assert not torch.allclose(mean, last, atol=1e-3)


def test_a_training_cut_short_ends_with_its_last_state() -> None:
    last, _ = train()
    also, _ = train(replace(RECIPE, averaged_share=0.5, minimum_steps=10_000, maximum_epochs=12))
    assert torch.equal(last, also)


def test_who_wants_the_usual_training_gets_its_last_state() -> None:
    last, _ = train()
    also, _ = train(replace(RECIPE, averaged_share=0.5), average=False)
    assert torch.equal(last, also)


def test_where_a_validation_share_chooses_the_epoch_no_mean_is_taken() -> None:
    held = np.arange(COUNT) % 6 == 0
    best, _ = train(validation=held)
    also, _ = train(replace(RECIPE, averaged_share=0.5), validation=held)
    assert torch.equal(best, also)


def test_without_a_validation_share_it_goes_on_to_the_end() -> None:
    _, told = train()
    assert not any(one["event"] in ("validation", "notice") for one in told)
    last = [one["values"] for one in told if one["event"] == "training"][-1]
    assert last["step"] == last["total"]
    assert last["epoch"] == RECIPE.epochs


def test_the_loss_is_the_weighted_mean_of_soft_cross_entropies() -> None:
    rng = np.random.default_rng(1)
    targets = rng.dirichlet(np.ones(3), COUNT).astype(np.float32)
    weights = rng.random(COUNT).astype(np.float32)
    loss = WeightedLoss(make_job(Path(), TEXTS, targets=targets, weights=weights), CPU)
    rows = np.array([3, 1, 7])
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(2))
    expected = torch.nn.functional.cross_entropy(
        logits, torch.from_numpy(targets[rows]), reduction="none"
    )
    total = (expected * torch.from_numpy(weights[rows])).sum()
    torch.testing.assert_close(loss(rows, logits), total)


def test_an_example_without_weight_teaches_nothing() -> None:
    half = np.arange(COUNT) % 2 == 0
    weights = np.where(half, 2.0, 0.0).astype(np.float32)
    wrong = np.where(half[:, None], TEXTS.targets, np.roll(TEXTS.targets, 1, axis=1))
    right, _ = train(weights=weights)
    misled, _ = train(weights=weights, targets=wrong)
    torch.testing.assert_close(right, misled)


def marginal_loss(targets: list[list[float]], logits: torch.Tensor) -> torch.Tensor:
    rows = len(targets)
    spec = replace(
        make_job(Path(), TEXTS),
        inputs=TEXTS.inputs[:rows],
        targets=np.array(targets, np.float32),
        weights=np.ones(rows, np.float32),
        marginal=True,
    )
    return WeightedLoss(spec, CPU).of_each(np.arange(rows), logits)


def test_where_one_class_has_all_the_likelihood_the_marginal_loss_is_cross_entropy() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([2, 0]), reduction="none")
    found = marginal_loss([[0, 0, 1], [1, 0, 0]], logits)
    torch.testing.assert_close(found, expected)


def test_a_label_that_is_as_likely_under_every_class_teaches_nothing() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    marginal_loss([[1 / 3, 1 / 3, 1 / 3]], logits).sum().backward()
    torch.testing.assert_close(logits.grad, torch.zeros(1, 3))


def test_the_marginal_loss_draws_towards_the_posterior() -> None:
    logits = torch.tensor([[1.0, -2.0, 0.5]], requires_grad=True)
    likelihood = torch.tensor([[0.2, 0.7, 0.1]])
    marginal_loss(likelihood.tolist(), logits).sum().backward()
    belief = logits.detach().softmax(-1)
    posterior = belief * likelihood / (belief * likelihood).sum()
    torch.testing.assert_close(logits.grad, belief - posterior)


def test_an_option_that_an_item_lacks_has_no_part_in_the_marginal_loss() -> None:
    logits = torch.tensor([[1.0, 0.5, -torch.inf]], requires_grad=True)
    loss = marginal_loss([[0.6, 0.4, 0.0]], logits)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
