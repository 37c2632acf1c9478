"""How much of a batch is computed at once: estimated, held against peaks, and without effect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from compute_helpers import make_job, make_texts
from torch.profiler import ProfilerActivity, profile
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from imfl_engine.compute import causal, devices, encoder, finetune
from imfl_engine.compute.devices import Device
from imfl_engine.compute.dropout import pool_dropout
from imfl_engine.compute.footprint import Shape, training_footprint
from imfl_engine.compute.job import Job
from imfl_engine.compute.memory import CPU_TOKENS, Budget
from imfl_engine.compute.models import Trained, Workshop, resolve
from imfl_engine.compute.optimise import WeightedLoss
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.recomputing import is_recomputing, recompute_layers
from imfl_engine.compute.room import SHARE, Room, training_room
from imfl_engine.compute.stepper import Stepper
from imfl_engine.compute.system_memory import Memory, group_memory
from imfl_engine.compute.team import ALONE
from imfl_engine.compute.tokens import encode

# peft asks transformers by a name that is going to go.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")

TEXTS = make_texts()
COUNT = len(TEXTS.inputs)
CPU = Device(torch.device("cpu"), torch.float32, 1)
BF16 = Device(torch.device("cpu"), torch.bfloat16, 1)
RECIPE = Recipe(epochs=1, learning_rate=1e-3, head_learning_rate=1e-3, batch_size=16)
SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "pad_token_id": 0,
    "num_labels": 3,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def classifier(kind: str, **sizes: Any) -> Any:
    """A stock sequence classifier of random weights."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SIZES, "vocab_size": 100, **sizes})
    return AutoModelForSequenceClassification.from_config(config, attn_implementation="sdpa")


def whole(device: Device) -> tuple[Any, Parameters]:
    """An encoder all of whose layers are trained, as this processor computes it."""
    model = encoder.StockClassifier(classifier("bert", **NO_DROPOUT))
    return (
        Workshop(device, Path()).place(model, model.body).train(),
        finetune.parameters_of(model, freeze_words=True),
    )


def adapted(device: Device) -> tuple[Any, Parameters]:
    """A causal model with adapters."""
    model = adapters_on(classifier("llama", num_key_value_heads=4))
    return model.to(device.torch_device).train(), causal.trained_parameters(model)


def adapters_on(base: Any) -> encoder.StockClassifier:
    """LoRA as `causal` puts it on a base."""
    config = peft.LoraConfig(
        task_type=peft.TaskType.SEQ_CLS,
        r=4,
        lora_dropout=0.05,
        target_modules=causal.linear_modules(base),
        modules_to_save=["score"],
    )
    return encoder.StockClassifier(peft.get_peft_model(base, config))


def step_of(
    device: Device, model: Any, parameters: Parameters, rows: int, length: int
) -> Callable[[], object]:
    """A training step on ``rows`` texts of ``length`` tokens."""
    spec = make_job(Path(), TEXTS)
    loss = WeightedLoss(spec, device)
    room = Room(np.full(COUNT, length))
    stepper = Stepper(device, spec, RECIPE, parameters, 9, room, ALONE)
    ids = torch.randint(5, 90, (COUNT, length), device=device.torch_device)
    mask = torch.ones_like(ids)
    mask[0, -1] = 0

    def logits(some: np.ndarray) -> torch.Tensor:
        return model(input_ids=ids[some], attention_mask=mask[some])

    return lambda: stepper.step(
        np.arange(rows), lambda some: loss(some, logits(some)), lambda: False
    )


def peak_of(function: Callable[[], object]) -> int:
    """Bytes that ``function`` holds at most, by what PyTorch's allocator reports."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        function()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return int(np.cumsum(sizes).max())


@pytest.mark.parametrize(
    ("device", "make", "attention", "length"),
    [
        (CPU, whole, 32, 32),
        (CPU, whole, 0, 160),
        (BF16, whole, 32, 32),
        (CPU, adapted, 0, 64),
        (BF16, adapted, 0, 64),
    ],
    ids=("encoder", "long texts", "bfloat16", "adapters", "adapters in bfloat16"),
)
def test_the_estimate_is_not_below_the_measured_peak_and_less_than_twice_as_much(
    device: Device, make: Callable[[Device], tuple[Any, Parameters]], attention: int, length: int
) -> None:
    model, parameters = make(device)
    footprint = training_footprint(
        Shape(3, 64, 256, 4),
        trained=sum(parameter.numel() for parameter in parameters.all()),
        value_bytes=2 if (device, make) == (BF16, whole) else 4,
        attention=attention,
        adapters=make is adapted,
    )
    few, many = 16, 32
    peaks = []
    for rows in (few, many):
        step_of(device, model, parameters, rows, length)()
        model.eval().train()  # memory that steps use again is given back, and counts
        peaks.append(peak_of(step_of(device, model, parameters, rows, length)))
    measured = (peaks[1] - peaks[0]) / ((many - few) * length)
    assert measured <= footprint.per_token <= 2 * measured
    assert peaks[1] <= footprint.fixed + footprint.per_token * many * length


def test_checkpointing_needs_less_and_the_rest_is_the_same() -> None:
    sizes = {"trained": 1000, "value_bytes": 4}
    plain = training_footprint(Shape(12, 768, 3072, 12), **sizes)
    saving = training_footprint(Shape(12, 768, 3072, 12), checkpointing=True, **sizes)
    assert saving.per_token < plain.per_token / 5
    assert saving.fixed == plain.fixed == 12_000
    assert plain.tokens_in(plain.fixed + 100 * plain.per_token) == 100
    assert plain.tokens_in(plain.fixed // 2) == 0


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2", "t5", "llama"])
def test_a_shape_is_read_from_every_architecture_s_own_names(kind: str) -> None:
    names = {
        "distilbert": {"dim": 64, "n_layers": 3, "n_heads": 4, "hidden_dim": 256},
        "gpt2": {"n_embd": 64, "n_layer": 3, "n_head": 4},
        "t5": {"d_model": 64, "num_layers": 3, "num_heads": 4, "d_ff": 256},
    }.get(kind, SIZES)
    assert Shape.of(AutoConfig.for_model(kind, **names)) == Shape(3, 64, 256, 4)


def test_a_batch_is_divided_by_its_own_longest_and_halved_where_it_was_too_much() -> None:
    room = Room(np.array([10, 20, 40, 40, 10, 10]), tokens=80)
    short, long = np.array([0, 4, 5]), np.array([0, 1, 2, 3])
    assert (room.examples(short), room.examples(long)) == (3, 2)
    assert room.halve(long)
    assert (room.examples(short), room.examples(long)) == (3, 1)
    assert not room.halve(long)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small encoder without dropout, whose steps do not depend on how a batch is divided."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(resolve("minilm"))
    tokenizer.save_pretrained(folder)
    sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": 64, **NO_DROPOUT}
    classifier("bert", **sizes).save_pretrained(folder)
    return str(folder)


def fit(
    target: str, folder: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> tuple[Trained, list[int]]:
    """Fine-tune with ``free`` bytes of memory; the model, and the sizes of what was computed at once."""
    sizes: list[int] = []
    compute = encoder.item_logits

    def watched(rows: Any, tokens: Any, items: np.ndarray, options: int) -> torch.Tensor:
        sizes.append(len(items))
        return compute(rows, tokens, items, options)

    monkeypatch.setattr(devices, "system_memory", lambda: Memory(free, free))
    monkeypatch.setattr(encoder, "item_logits", watched)
    torch.manual_seed(0)
    job = Job(0, folder, lambda message: None)
    spec = make_job(folder / "model", TEXTS, target=target, epochs=2)
    trained, _ = finetune.fit_encoder(job, Workshop(CPU, folder), spec)
    monkeypatch.undo()
    return trained, sizes


def test_a_small_memory_changes_how_a_batch_is_computed_and_not_what_is_learned(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ample, whole_batches = fit(tiny, tmp_path, monkeypatch, 2**33)
    shape = Shape(3, 64, 256, 4)
    trained = sum(p.numel() for p in finetune.parameters_of(ample.model, freeze_words=True).all())
    found = {}
    for name, tokens, checkpointing in (("small", 40, False), ("tiny", 30, True)):
        footprint = training_footprint(
            shape, trained=trained, value_bytes=4, attention=16, checkpointing=checkpointing
        )
        free = int((footprint.fixed + tokens * footprint.per_token) / SHARE)
        found[name] = fit(tiny, tmp_path, monkeypatch, free)
    assert max(whole_batches) == 16
    tokens = encode(ample.tokenizer, TEXTS.inputs, max_length=32, task="classification")
    for name, (model, sizes) in found.items():
        assert 1 <= max(sizes) <= 5
        assert is_recomputing(model.model) == (name == "tiny")
        with torch.inference_mode():
            batch = tokens.batch(np.arange(COUNT), CPU.torch_device)
            torch.testing.assert_close(
                model.model(**batch), ample.model(**batch), atol=1e-3, rtol=1e-3
            )


def test_a_fine_tune_knows_the_pace_of_the_one_before_at_its_first_step(
    tiny: str, tmp_path: Path
) -> None:
    told: list[dict[str, Any]] = []
    workshop = Workshop(CPU, tmp_path)
    spec = make_job(tmp_path / "model", TEXTS, target=tiny, epochs=2)
    finetune.fit_encoder(Job(0, tmp_path, told.append), workshop, spec)
    pace = workshop.paces[tiny, 0]
    assert pace is not None
    assert 0 < pace < 1
    workshop.paces[tiny, 0] = 1000.0  # seconds a token: it was a slow machine
    told.clear()
    finetune.fit_encoder(Job(0, tmp_path, told.append), workshop, spec)
    first = next(one["values"] for one in told if one["event"] == "training")
    assert first["eta_seconds"] > 1000


def test_layers_that_are_computed_again_drop_the_same() -> None:
    """Gradients of a model with dropout are those of what was computed on the way forward."""
    model = encoder.StockClassifier(classifier("bert", attention_probs_dropout_prob=0.0))
    pool_dropout(model, 0, torch.float32)
    model.model.dropout = torch.nn.Identity()  # the head's, which is computed once
    finetune.parameters_of(model, freeze_words=True)
    assert recompute_layers(model.body)
    assert not recompute_layers(model.body)
    model.train()
    ids = torch.randint(5, 90, (4, 12), generator=torch.Generator().manual_seed(1))
    found = []
    for again in (True, False):
        for module in model.modules():
            if hasattr(module, "gradient_checkpointing"):
                module.gradient_checkpointing = again
        torch.manual_seed(3)
        model(input_ids=ids, attention_mask=torch.ones_like(ids)).square().sum().backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        found.append(torch.cat([p.grad.flatten() for p in trained if p.grad is not None]))
        model.zero_grad()
    torch.testing.assert_close(found[0], found[1])


def test_adapters_learn_from_layers_that_are_computed_again() -> None:
    model, parameters = adapted(CPU)
    assert recompute_layers(model.model)
    before = [parameter.detach().clone() for parameter in parameters.all()]
    step = step_of(CPU, model, parameters, 4, 12)
    step()
    step()
    changed = [not torch.equal(a, b) for a, b in zip(before, parameters.all(), strict=True)]
    assert all(changed)


def test_what_is_trained_on_a_base_of_16_bits_has_32() -> None:
    model = adapters_on(classifier("llama", num_key_value_heads=4).bfloat16())
    causal.train_in_float32(model)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert torch.bfloat16 in {p.dtype for p in model.parameters()}
    parameters = causal.trained_parameters(model)
    before = parameters.head[0].detach().clone()
    step_of(BF16, model.train(), parameters, 4, 12)()
    assert (parameters.head[0] != before).float().mean() > 0.9


def test_reading_takes_smaller_batches_where_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, _ = whole(CPU)
    monkeypatch.setattr(devices, "system_memory", lambda: Memory(2**34, 2**33))
    assert Budget.for_inference(CPU, model).tokens == CPU_TOKENS
    monkeypatch.setattr(devices, "system_memory", lambda: Memory(2**34, 2**20))
    short = Budget.for_inference(CPU, model).tokens
    assert 1 < short < CPU_TOKENS / 4
    assert 1 < Budget.for_inference(CPU, model, caches=True).tokens < short


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        (
            "0::/app/job\n",
            {
                "app/job/memory.max": "max",
                "app/memory.max": "1000",
                "app/memory.current": "700",
                "app/memory.stat": "anon 400\ninactive_file 200\n",
            },
            Memory(1000, 500),
        ),
        (
            "5:cpu:/x\n4:memory:/x\n0::/\n",
            {
                "memory/memory.limit_in_bytes": "2000",
                "memory/memory.usage_in_bytes": "2500",
            },
            Memory(2000, 0),
        ),
        (
            "4:memory:/\n",
            {
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.usage_in_bytes": "5",
            },
            None,
        ),
        ("", {}, None),
    ],
    ids=("version 2", "version 1", "unbounded", "none"),
)
def test_a_container_s_bound_is_found(
    own: str, files: dict[str, str], expected: Memory | None, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own)
    assert group_memory(tmp_path, tmp_path / "own") == expected


@pytest.mark.gpu
def test_the_estimate_holds_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    gpu = devices.choose("cuda", 1)
    for make in (whole, adapted):
        model, parameters = make(gpu)
        model = model.to(gpu.torch_device)
        step = step_of(gpu, model, parameters, 48, 60)
        lengths = np.full(COUNT, 60)
        room = training_room(
            gpu, model, parameters, lengths, adapters=make is adapted, save_memory=lambda: False
        )
        footprint = training_footprint(
            Shape(3, 64, 256, 4),
            trained=sum(parameter.numel() for parameter in parameters.all()),
            value_bytes=4,
            adapters=make is adapted,
        )
        step()  # what a first product allocates for good is not the step's
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        step()
        peak = torch.cuda.max_memory_allocated() - before
        assert room.examples(np.arange(16)) == 16
        assert peak <= footprint.fixed + footprint.per_token * 48 * 60
