"""The card of a saved model: a README that says what it was trained on and how good it is."""

from __future__ import annotations

import json

from imfl_engine.settings import Settings
from imfl_engine.views import Status


def model_card(status: Status, settings: Settings, *, examples: int, by_llm: int) -> str:
    """Return the card as Markdown under a YAML header.

    The model was trained on ``examples`` labels, ``by_llm`` of them the LLM's.
    """
    last = status.curve[-1] if status.curve else None
    header = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "tags: [imfl, active-learning]",
        "---",
        "",
        f"# {status.path.stem}",
        "",
        f"A {settings.training.target} model fine-tuned with interactive multi-fidelity learning "
        "(Zhang et al., NeurIPS 2023) by imfl-tui.",
        "",
        "## Labels",
        "",
    ]
    labels = [
        f"- `{json.dumps(label.name, ensure_ascii=False)[1:-1]}`"
        + (f": {label.description}" if label.description else "")
        for label in settings.task.labels
    ] or ["The options of each item (multiple choice)."]
    llm = f" and {by_llm:,} labels by `{settings.annotator.spec}`" if by_llm else " alone"
    trained = [
        "",
        "## Training data",
        "",
        f"{examples - by_llm:,} human labels{llm}, chosen by `{settings.query.strategy}`; "
        f"loss `{settings.training.loss}`, seed {settings.seed}.",
    ]
    if status.trust.accuracy is not None:
        trust = status.trust.accuracy
        trained.append(
            f"On a random control slice of {trust.n} items the annotator was right in "
            f"{trust.value:.0%} (95 % interval {trust.low:.0%} to {trust.high:.0%})."
        )
    measured = ["", "## Evaluation", ""]
    if last is None:
        measured.append("The model has not been measured.")
    else:
        where = "the test set" if last.scope == "test" else "a random control slice"
        measured.append(
            f"Accuracy {last.accuracy.value:.3f} (95 % interval {last.accuracy.low:.3f} to "
            f"{last.accuracy.high:.3f}), macro-F1 {last.macro_f1:.3f}, on {where} of "
            f"{last.accuracy.n:,} items."
        )
        if status.majority is not None:
            name, share = status.majority
            measured.append(f"Always answering `{name}` would score {share:.3f}.")
    return "\n".join([*header, *labels, *trained, *measured, ""])
