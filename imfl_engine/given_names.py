"""Names of models, devices and servers, checked as far as this machine alone can tell.

What uses a name may come long after it was given, so a misspelling is told at once, and a secret in
an address before it is stored. Whether a hub id exists is not asked: that would need a network.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from imfl_engine.addresses import ADDRESS_HINT, address_problem
from imfl_engine.errors import SettingsError
from imfl_engine.settings import Settings

TARGETS = ("minilm", "probe", "smollm2")
EMBEDDERS = ("minilm",)
LOCAL_MODELS = ("smollm2",)

LEGACY_FAMILIES = (
    "albert", "bert", "camembert", "ctrl", "distilbert", "distilgpt2", "distilroberta", "gpt2",
    "openai-gpt", "roberta", "t5", "transfo-xl", "xlm", "xlnet",
)  # fmt: skip
"""Hub ids without an owner: the hub has none but these, and gives no more of them."""

MODEL_HINT = (
    "Give minilm (or probe, as a target), a folder with config.json, or owner/name on the hub."
)
DEVICE_HINT = "A device is auto, cpu, cpu:float32, cuda, cuda:1 or mps."

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_DEVICE = re.compile(r"auto|cpu(:float32)?|(cuda|mps)(:\d+)?")


def check_names(settings: Settings, before: Settings | None = None) -> None:
    """Refuse names of models, devices and servers that cannot be meant; raises `SettingsError`.

    With ``before``, only what has changed is looked at.
    """
    problems = []
    hints: list[str] = []
    keys = [os.environ.get(settings.annotator.key_name, "")]
    for path, find, hint in (
        ("training.target", lambda value: model_problem(value, TARGETS), MODEL_HINT),
        ("embedder", lambda value: model_problem(value, EMBEDDERS), MODEL_HINT),
        ("annotator.spec", _annotator_problem, MODEL_HINT),
        ("annotator.base_url", partial(address_problem, keys=keys), ADDRESS_HINT),
        ("training.device", device_problem, DEVICE_HINT),
    ):
        value = attrgetter(path)(settings)
        if before is not None and value == attrgetter(path)(before):
            continue
        problem = find(value)
        if problem is not None:
            problems.append((path, problem))
            hints.append(hint)
    if problems:
        raise SettingsError.of(problems, " ".join(dict.fromkeys(hints)))


def model_problem(name: str, known: Sequence[str]) -> str | None:
    """What is wrong with the name of a model, to follow what the name is for; None for nothing."""
    path = Path(name)
    if name in known or _is_legacy_hub_id(name):
        return None
    if path.exists():
        if path.is_dir():
            has_config = (path / "config.json").is_file()
            return None if has_config else f"'{name}' is a folder without a config.json"
        return None if name.endswith(".gguf") else f"'{name}' is a file and no folder of a model"
    if _HUB_ID.fullmatch(name) and not name.endswith(".gguf"):
        return None
    if "/" in name or "\\" in name or name.startswith(("~", ".")) or name.endswith(".gguf"):
        return f"'{name}' is a path to nothing"
    near = difflib.get_close_matches(name.lower(), known, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return f"'{name}' is no model that is known{meant}"


def device_problem(name: str) -> str | None:
    """What is wrong with the name of a device; None for nothing."""
    return None if _DEVICE.fullmatch(name) else f"'{name}' is no device"


def _annotator_problem(spec: str) -> str | None:
    kind, _, model = spec.partition(":")
    return model_problem(model, LOCAL_MODELS) if kind == "local" else None


def _is_legacy_hub_id(name: str) -> bool:
    return any(name == family or name.startswith(f"{family}-") for family in LEGACY_FAMILIES)
