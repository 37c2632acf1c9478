"""Causal language models as targets: not written yet, so asking for one says so."""

from __future__ import annotations

from typing import Any

from imfl_engine.errors import ModelError


def fit(job: Any, workshop: Any, spec: Any) -> Any:
    """Refuse."""
    raise ModelError("Causal language models cannot be fine-tuned yet.", "Use minilm or probe.")


def save_causal(model: Any, tokenizer: Any, record: Any, folder: Any) -> None:
    """Never reached."""


def load_causal(workshop: Any, folder: Any, record: Any) -> Any:
    """Never reached."""


def scorer(workshop: Any, trained: Any, inputs: Any, options: int) -> Any:
    """Never reached."""
