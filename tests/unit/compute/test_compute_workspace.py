"""Memory that every training step uses again, and a layer's passes that write there."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_encoders import batch, layer_output, model, states_and_gradients

from imfl_engine.compute.fused_layer import FusedLayer
from imfl_engine.compute.workspace import Workspace

QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
Gradients = dict[str, torch.Tensor]


def encoder() -> Any:
    """One without dropout, so that the same batch teaches the same every time."""
    return model(fused=True, **QUIET)


def of_its_own(width: int) -> Gradients:
    """The gradients of a batch in a model that saw no other."""
    return states_and_gradients(encoder(), batch(width, padded=True))[1]


def same(found: Gradients, expected: Gradients) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], gradient) for name, gradient in expected.items()
    )


def loss_of(trained: Any, width: int) -> torch.Tensor:
    inputs = batch(width, padded=True)
    with torch.autocast("cpu", torch.bfloat16):
        states = trained(**inputs).last_hidden_state
    loss: torch.Tensor = (states.float() ** 3)[inputs["attention_mask"].bool()].sum()
    return loss


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.integers(1, 5)), max_size=12)
)
def test_a_name_has_one_memory_and_shares_it_with_no_other(
    wanted: list[tuple[str, int, int]],
) -> None:
    space = Workspace(torch.float32)
    last: dict[str, torch.Tensor] = {}
    for value, (name, rows, width) in enumerate(wanted):
        taken = space.take(name, rows, width)
        assert taken.shape == (rows, width)
        last[name] = taken.fill_(value)
        assert all(len(other.unique()) <= 1 for other in last.values())


def test_what_is_smaller_than_before_needs_no_memory_of_its_own() -> None:
    space = Workspace(torch.bfloat16)
    large = space.take("states", 8, 4)
    assert space.take("states", 3, 4).data_ptr() == large.data_ptr()
    assert space.take("states", 8, 4) is large
    assert space.take("states", 8, 5).dtype is torch.bfloat16


def test_a_batch_teaches_the_same_whatever_lengths_came_before() -> None:
    trained = encoder()
    for width in (33, 20, 12, 40, 20, 33):
        found = states_and_gradients(trained, batch(width, padded=True))[1]
        assert same(found, of_its_own(width)), width
        trained.zero_grad(set_to_none=True)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_passes_may_be_under_way_at_once(order: tuple[int, int]) -> None:
    trained = encoder()
    widths = 20, 33
    losses = [loss_of(trained, width) for width in widths]
    for place in order:
        losses[place].backward()
        found = {name: weight.grad for name, weight in trained.named_parameters()}
        expected = of_its_own(widths[place])
        assert same({name: found[name] for name in expected}, expected)
        trained.zero_grad(set_to_none=True)


def test_a_pass_that_is_given_up_leaves_nothing_behind() -> None:
    trained = encoder()
    loss_of(trained, 40)
    assert same(states_and_gradients(trained, batch(20, padded=True))[1], of_its_own(20))


def test_gradients_of_several_batches_add_up() -> None:
    trained = encoder()
    states_and_gradients(trained, batch(20, padded=True))
    found = states_and_gradients(trained, batch(33, padded=True))[1]
    expected = {name: values + of_its_own(33)[name] for name, values in of_its_own(20).items()}
    assert same(found, expected)


def test_what_is_not_trained_holds_no_memory_for_it() -> None:
    trained = encoder()
    layer_output(trained).sum().backward()
    layer = next(module for module in trained.modules() if isinstance(module, FusedLayer))
    own = layer.space.borrow()
    layer.space.give_back(own)
    kept = [weakref.ref(own), weakref.ref(layer.space.passing.take("rows", 1, 64))]
    del own
    assert all(reference() is not None for reference in kept)
    trained.eval()
    assert all(reference() is None for reference in kept)


def test_a_copy_writes_to_memory_of_its_own() -> None:
    trained = encoder()
    loss = loss_of(trained, 20)
    twin = copy.deepcopy(trained)
    loss_of(twin, 20).backward()
    loss.backward()
    found = {name: weight.grad for name, weight in trained.named_parameters()}
    expected = of_its_own(20)
    assert same({name: found[name] for name in expected}, expected)
