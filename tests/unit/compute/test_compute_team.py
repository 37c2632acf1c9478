"""A team of processes takes the step that one process takes; here the processes are threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compute_helpers import make_job, make_texts

from imfl_engine.compute.devices import Device
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.room import Room
from imfl_engine.compute.stepper import Stepper, sum_gradients
from imfl_engine.compute.team import ALONE, Team
from imfl_engine.errors import ComputeCrashed

CPU = Device(torch.device("cpu"), torch.float32, 1)
RECIPE = Recipe(epochs=1, learning_rate=0.1, head_learning_rate=0.1, batch_size=5)
LENGTHS = np.ones(12, dtype=np.int64)
FEATURES = torch.randn(12, 4, generator=torch.Generator().manual_seed(1))


class Meeting:
    """Where the threads of a team add up their tensors."""

    def __init__(self, size: int) -> None:
        self.brought: list[torch.Tensor] = []
        self.barrier = threading.Barrier(size, timeout=10)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        self.brought.append(values.clone())
        self.barrier.wait()
        values.copy_(torch.stack(self.brought).sum(0))
        if self.barrier.wait() == 0:
            self.brought.clear()
        self.barrier.wait()
        return values


class ThreadTeam(Team):
    """A team whose other processes are threads."""

    def __init__(self, rank: int, size: int, meeting: Meeting) -> None:
        super().__init__(rank, size)
        object.__setattr__(self, "meeting", meeting)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        return self.meeting.sum(values)  # type: ignore[attr-defined]


class Model:
    """A linear layer, a parameter nothing depends on, and one only row 0 depends on."""

    def __init__(self, room: int = 100) -> None:
        self.weight = torch.nn.Parameter(torch.ones(3, 4))
        self.unused = torch.nn.Parameter(torch.ones(2))
        self.rare = torch.nn.Parameter(torch.ones(3))
        self.room = room

    def loss(self, rows: np.ndarray) -> torch.Tensor:
        if len(rows) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        logits = FEATURES[rows] @ self.weight.T
        if 0 in rows:
            logits = logits + self.rare * torch.from_numpy(rows == 0)[:, None]
        return (logits**2).sum()

    def values(self) -> list[torch.Tensor]:
        return [self.weight.detach(), self.unused.detach(), self.rare.detach()]


def steps(team: Team, model: Model, batches: list[np.ndarray]) -> list[float]:
    spec = make_job(Path("none"), make_texts())
    parameters = Parameters(body=[model.weight, model.unused], head=[model.rare])
    stepper = Stepper(CPU, spec, RECIPE, parameters, len(batches), Room(LENGTHS), team)
    return [float(stepper.step(rows, model.loss, lambda: False)) for rows in batches]


def in_threads(size: int, do: Callable[[Team], Any]) -> list[Any]:
    meeting = Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(lambda rank: do(ThreadTeam(rank, size, meeting)), range(size)))


BATCHES = [np.arange(5), np.arange(5, 9), np.array([9]), np.array([0, 10, 11])]


@pytest.mark.parametrize("size", [2, 3])
def test_a_team_takes_the_steps_of_one_process(size: int) -> None:
    alone = Model()
    losses = steps(ALONE, alone, BATCHES)

    def do(team: Team) -> tuple[list[float], Model]:
        # The last process has room for one row only, and computes its share in more parts.
        model = Model(room=1 if team.rank == size - 1 else 100)
        return steps(team, model, BATCHES), model

    for found, model in in_threads(size, do):
        assert found == pytest.approx(losses, rel=1e-5)
        for ours, theirs in zip(alone.values(), model.values(), strict=True):
            torch.testing.assert_close(theirs, ours)


def test_a_parameter_without_a_gradient_anywhere_gets_none() -> None:
    def do(team: Team) -> list[torch.Tensor | None]:
        model = Model()
        loss = model.loss(team.share(np.arange(4)))
        loss.backward()
        parameters = [model.weight, model.unused, model.rare]
        sum_gradients(team, parameters, loss.detach())
        return [parameter.grad for parameter in parameters]

    for weight, unused, rare in in_threads(2, do):
        assert weight is not None
        assert unused is None
        assert rare is not None


def test_a_team_of_one_keeps_its_gradients() -> None:
    model = Model()
    loss = model.loss(np.arange(4))
    loss.backward()
    assert model.weight.grad is not None
    before = model.weight.grad.clone()
    total = sum_gradients(ALONE, [model.weight, model.unused], loss.detach())
    assert total == loss
    assert torch.equal(model.weight.grad, before)
    assert model.unused.grad is None


def test_gradients_keep_their_number_format() -> None:
    parameter = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    parameter.sum().backward()
    sum_gradients(ALONE, [parameter], torch.zeros(()))
    assert parameter.grad is not None
    assert parameter.grad.dtype is torch.bfloat16


@pytest.mark.parametrize("count", [0, 1, 2, 7, 16])
def test_every_row_is_in_one_share_and_shares_differ_by_one_at_most(count: int) -> None:
    rows = np.random.default_rng(0).permutation(count)
    shares = [Team(rank, 3).share(rows) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == sorted(rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert (ALONE.share(rows) == rows).all()


def test_only_the_first_process_draws_as_one_alone_would() -> None:
    assert Team(0, 2).seed(5) == ALONE.seed(5) == 5
    assert len({Team(rank, 4).seed(5) for rank in range(4)}) == 4


def test_a_process_that_cannot_reach_the_others_says_so_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(values: torch.Tensor) -> None:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer")

    monkeypatch.setattr(torch.distributed, "all_reduce", fail)
    with pytest.raises(ComputeCrashed, match="fine-tune together"):
        Team(0, 2).sum(torch.zeros(1))
