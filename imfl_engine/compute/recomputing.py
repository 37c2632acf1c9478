"""Gradient checkpointing: layers are computed again on the way back instead of being kept."""

from __future__ import annotations

from typing import Any

from imfl_engine.compute.dropout import unpool_dropout


def recompute_layers(model: Any) -> bool:
    """Trade time for memory, in place; False if that is on already or the architecture cannot.

    ``model`` is of ``transformers``, or has one in it that it puts its adapters on.
    """
    if is_recomputing(model):
        return False
    # The name before 5.23 and the name since.
    enable = getattr(model, "activation_checkpointing_enable", None)
    enable = enable or model.gradient_checkpointing_enable
    try:
        enable({"use_reentrant": False})
    except ValueError:
        return False
    unpool_dropout(model)
    return True


def is_recomputing(model: Any) -> bool:
    """Whether any layer of ``model`` is computed again."""
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
