"""Causal language models as targets: LoRA, with classes scored by the labels' own words.

The model reads ``text [context] "\\nLabel:"`` and each class is scored by the logit of its
verbaliser, the first token of the label's name (or of a letter, where two labels begin alike). Those
logits are one linear layer on the last token's state, so this *is* the architecture's stock sequence
classification with a head taken from the language model's output matrix, and the words around the
text are a template in the tokenizer: the merged model is served by ``transformers.pipeline`` as it
stands. Multiple choice scores every option by the logit of "yes" minus that of "no".

A checkpoint holds the adapter and the head; the base stays where it is. Needs peft.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from imfl_engine.compute import encoder
from imfl_engine.compute.checkpoints import CheckpointRecord, read_record
from imfl_engine.compute.models import Trained, load_pretrained, load_tokenizer
from imfl_engine.compute.optimise import Outcome, optimise
from imfl_engine.compute.recipe import Parameters, Recipe
from imfl_engine.compute.recomputing import recompute_layers
from imfl_engine.compute.room import training_room
from imfl_engine.compute.tokens import encode
from imfl_engine.compute.wire import IndexArray, TrainingJob
from imfl_engine.errors import ModelError
from imfl_engine.types import TaskKind, option_letter

if TYPE_CHECKING:
    from imfl_engine.compute.job import Job
    from imfl_engine.compute.models import Workshop

RECIPE = Recipe(
    epochs=3,
    learning_rate=3e-4,
    head_learning_rate=3e-4,
    batch_size=8,
    minimum_steps=100,
    maximum_epochs=8,
    weight_decay=0.0,
)
RANK = 16

SUFFIX: dict[TaskKind, str] = {"classification": "\nLabel:", "multiple-choice": "\nCorrect?"}


def fit(job: Job, workshop: Workshop, spec: TrainingJob) -> tuple[Trained, Outcome]:
    """Train an adapter and the head."""
    import peft

    record = CheckpointRecord(
        "causal", spec.kind, spec.labels, spec.target, spec.max_length, spec.embedder
    )
    if spec.start_from is not None:
        before = read_record(spec.start_from)
        if (before.architecture, before.task, before.labels, before.base) != (
            *("causal", spec.kind, spec.labels),
            spec.target,
        ):
            raise ModelError(
                f"The model in {spec.start_from} was trained for other labels or another target.",
                "Set training.mode to retrain.",
            )
        model, tokenizer = _load_adapter(workshop, spec.start_from, record, trainable=True)
    else:
        base, tokenizer = classifier_with_verbalisers(workshop, record)
        config = peft.LoraConfig(
            task_type=peft.TaskType.SEQ_CLS,
            r=RANK,
            lora_alpha=2 * RANK,
            lora_dropout=0.05,
            target_modules=linear_modules(base),
            modules_to_save=["score"],
        )
        model = peft.get_peft_model(base, config)
    train_in_float32(model)
    model = encoder.StockClassifier(model.to(workshop.device.torch_device))
    tokens = encode(tokenizer, spec.inputs, max_length=spec.max_length, task=spec.kind)
    options = spec.targets.shape[1] if spec.kind == "multiple-choice" else 0
    rows = encoder.rows_by(model, tokens, workshop.device.torch_device)

    def logits(items: IndexArray) -> torch.Tensor:
        return encoder.item_logits(rows, tokens, items, options)

    def save_memory() -> bool:
        return recompute_layers(model.model)

    device, parameters, lengths = workshop.device, trained_parameters(model), tokens.item_lengths
    outcome = optimise(
        job,
        device,
        spec,
        RECIPE,
        parameters=parameters,
        logits=logits,
        room=training_room(
            device, model, parameters, lengths, adapters=True, save_memory=save_memory
        ),
        set_training=model.train,
        save_memory=save_memory,
        team=workshop.team,
        prior=workshop.paces.get((spec.target, 0)),
    )
    workshop.paces[spec.target, 0] = outcome.pace
    return Trained(record, model.eval(), tokenizer), outcome


def classifier_with_verbalisers(workshop: Workshop, record: CheckpointRecord) -> tuple[Any, Any]:
    """The base as a sequence classifier whose head is its own output rows for the verbalisers."""
    source = workshop.causal_source(record.base)
    tokenizer = templated_tokenizer(load_tokenizer(source), record.task)
    dtype = workshop.device.dtype if workshop.device.kind == "cuda" else torch.float32
    language = load_pretrained(AutoModelForCausalLM, source, dtype=dtype)
    rows = language.get_output_embeddings().weight.detach()
    if record.task == "multiple-choice":
        yes, no = verbalisers(tokenizer, ("yes", "no"))
        head = (rows[yes] - rows[no]).unsqueeze(0)
    else:
        head = rows[verbalisers(tokenizer, record.labels)]
    config = copy.deepcopy(language.config)
    config.pad_token_id = tokenizer.pad_token_id
    encoder.name_labels(config, record)
    try:
        model = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
    except ValueError as error:
        raise ModelError(
            f"'{record.base}' has no sequence classification in transformers, so it cannot be a "
            "target.",
            "Use a causal model such as Llama, Qwen, Mistral, Gemma, Phi or GPT-2, or an encoder.",
        ) from error
    body = getattr(language, language.base_model_prefix)
    setattr(model, model.base_model_prefix, body)
    with torch.no_grad():
        model.score.weight.copy_(head)
    return model, tokenizer


def verbalisers(tokenizer: Any, labels: Sequence[str]) -> list[int]:
    """One token id per label, all different.

    The first token of the name after a space; if two labels begin alike, of the letters A, B, …;
    and where even those collide (many labels, a tiny vocabulary), the first ids not yet taken.
    """
    names = [first_token(tokenizer, f" {label}") for label in labels]
    if len(set(names)) == len(names):
        return names
    letters = [first_token(tokenizer, f" {option_letter(place)}") for place in range(len(labels))]
    if len(set(letters)) == len(letters):
        return letters
    special = set(tokenizer.all_special_ids)
    return [token for token in range(len(tokenizer)) if token not in special][: len(labels)]


def first_token(tokenizer: Any, text: str) -> int:
    """The id of the first token that says something (not the lone space some tokenizers emit)."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    for token in ids:
        if tokenizer.decode([token]).strip():
            return int(token)
    return int(ids[0])


def templated_tokenizer(tokenizer: Any, task: TaskKind) -> Any:
    """A tokenizer that puts the prompt's fixed words around a text or a pair by itself."""
    backend = tokenizer.backend_tokenizer
    bos = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    parts = {
        "before": bos,
        "between": backend.encode("\n", add_special_tokens=False).ids,
        "after": backend.encode(SUFFIX[task], add_special_tokens=False).ids,
    }
    pieces = {name: f"[{name}]" for name, ids in parts.items() if ids}

    def template(*names: str) -> list[str]:
        return [pieces.get(name, "") if name in parts else name for name in names]

    backend.post_processor = TemplateProcessing(
        single=[piece for piece in template("before", "$A", "after") if piece],
        pair=[piece for piece in template("before", "$A", "between", "$B", "after") if piece],
        special_tokens=[
            {"id": pieces[name], "ids": ids, "tokens": [backend.id_to_token(i) for i in ids]}
            for name, ids in parts.items()
            if ids
        ],
    )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or backend.id_to_token(0)
    tokenizer.padding_side = "right"
    return tokenizer


def linear_modules(model: Any) -> list[str]:
    """Names of the body's linear layers, which the adapter is put on."""
    kinds = ("Linear", "Conv1D")
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module).__name__ in kinds
    }
    return sorted(names - {"score"})


def train_in_float32(model: Any) -> None:
    """Give what is trained float32 weights, in place, also in a base of 16 bits (on a GPU).

    The head comes in the base's format, where most steps of an optimiser are lost in the rounding.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def trained_parameters(model: Any) -> Parameters:
    """The adapter is the body, the score layer the head."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return Parameters(
        body=[parameter for name, parameter in named if "score" not in name],
        head=[parameter for name, parameter in named if "score" in name],
    )


def save_causal(model: Any, tokenizer: Any, record: CheckpointRecord, folder: Path) -> None:
    """Write the adapter, the head and the tokenizer."""
    tokenizer.save_pretrained(folder)
    model.model.save_pretrained(folder)


def load_causal(workshop: Workshop, folder: Path, record: CheckpointRecord) -> Trained:
    """The model of a checkpoint, adapter merged, on the device."""
    model, tokenizer = _load_adapter(workshop, folder, record, trainable=False)
    merged = encoder.StockClassifier(model.merge_and_unload())
    return Trained(record, merged.to(workshop.device.torch_device).eval(), tokenizer)


def merge(workshop: Workshop, checkpoint: Path, record: CheckpointRecord, folder: Path) -> None:
    """Write the merged model as an ordinary sequence classifier."""
    trained = load_causal(workshop, checkpoint, record)
    trained.model.model.save_pretrained(folder)
    trained.tokenizer.save_pretrained(folder)


def _load_adapter(
    workshop: Workshop, folder: Path, record: CheckpointRecord, *, trainable: bool
) -> tuple[Any, Any]:
    import peft

    base, tokenizer = classifier_with_verbalisers(workshop, record)
    return peft.PeftModel.from_pretrained(base, folder, is_trainable=trainable), tokenizer
