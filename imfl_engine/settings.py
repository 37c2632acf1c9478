"""A project's settings: what is asked, what may be spent, and how.

Settings come from a command line or a form, so they are pydantic models: every wrong value is
reported at once with its dotted path (`parse_settings`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from imfl_engine.errors import SettingsError
from imfl_engine.types import TaskKind

QueryName = Literal["eeq", "eeq-split", "eeq-cover", "random", "uncertainty", "diverse"]
RoutingName = Literal["planned", "gain"]
UncertaintyName = Literal["least-confidence", "margin", "entropy"]
ScheduleName = Literal["variable", "equal", "geometric", "one-batch"]
RetrievalName = Literal["similar", "random-shots", "fixed-shots", "zero-shot"]
LossName = Literal["label-model", "two-mean", "small-loss", "reweight"]
TrainingMode = Literal["retrain", "continue"]
ClassWeights = Literal["none", "balanced"]

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


FROZEN = ("task.kind", "task.labels", "embedder", "seed")
"""What cannot change once there are labels, because it would change what they mean."""


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_KEY_LIKE = re.compile(r"(?:sk|pk|rk|gsk|hf|xai|ghp)_?[A-Za-z0-9]{16,}|AIza|[A-Za-z0-9]{40,}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LabelSpec(_Model):
    """A label of the schema; ``key`` is the keyboard key, chosen automatically when empty."""

    name: str = Field(min_length=1)
    description: str = ""
    key: str = ""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """A name alone is enough."""
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, dict | LabelSpec):
            raise ValueError("a label is a name, or braces with its name, description and key")
        return value


class Task(_Model):
    """What is asked about each item."""

    kind: TaskKind = "classification"
    labels: tuple[LabelSpec, ...] = ()
    """Empty for multiple choice, where every item brings its own options."""
    guidelines: str = ""

    @property
    def label_names(self) -> tuple[str, ...]:
        """The label names in schema order."""
        return tuple(label.name for label in self.labels)

    @model_validator(mode="after")
    def _labels_fit_the_kind(self) -> Task:
        names = self.label_names
        if self.kind == "classification" and len(names) < 2:
            raise ValueError("a classification task needs at least two labels")
        if len(set(names)) != len(names):
            raise ValueError("two labels have the same name")
        return self


class Budget(_Model):
    """What may be spent; ``money_usd`` and ``minutes`` are hard stops, None means no limit."""

    human: NotNegative = 200
    llm: NotNegative = 800
    rounds: Annotated[int, Field(gt=0, le=1000)] = 5
    money_usd: Annotated[float, Field(ge=0.0)] | None = None
    minutes: Annotated[float, Field(gt=0.0)] | None = None


class Query(_Model):
    """How items are chosen."""

    strategy: QueryName = "eeq"
    routing: RoutingName = "planned"
    """*gain*: labels of the LLM that are in doubt compete with unlabelled items for the human."""
    uncertainty: UncertaintyName = "least-confidence"
    schedule: ScheduleName = "variable"
    human_per_round: Annotated[tuple[NotNegative, ...], Field(min_length=1)] | None = None
    """An explicit schedule; overrides ``schedule`` and ``budget.rounds``. Sums to the budget."""
    sub_sample: Positive | None = None
    """Size of each round's sub-sample of the pool; None means ten times the round's labels."""
    candidate_factor: Positive = 12
    """*eeq* looks for diversity among this many times the human batch."""
    llm_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.4
    """*eeq* spreads the LLM's batch over this share of the rest, the least sure, once the LLM's labels are
    known to say something; 1 is the whole rest always."""
    first_human: NotNegative | None = None
    """Size of the random first batch; None means the whole human share of round 1."""
    control_share: Share = 0.15
    control_minimum: NotNegative = 20


class Retrieval(_Model):
    """Which human labels the LLM is shown."""

    method: RetrievalName = "similar"
    shots: NotNegative = 5


class Annotator(_Model):
    """Who labels the LLM's share: ``openai:MODEL``, ``neighbours``, ``local:MODEL``, ``none``, or
    ``simulated:ACCURACY`` (replay only).
    """

    spec: str = "neighbours"
    base_url: str | None = None
    key_name: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is never stored."""
    temperature: Annotated[float, Field(ge=0.0)] | None = 0.0
    concurrency: Positive = 16
    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    timeout_seconds: Annotated[float, Field(gt=0.0)] = 60.0
    max_output_tokens: Positive = 64
    context_tokens: Positive | None = None
    price_input: Annotated[float, Field(ge=0.0)] | None = None
    """US dollars per million input tokens; None looks the model up."""
    price_output: Annotated[float, Field(ge=0.0)] | None = None
    price_cached: Annotated[float, Field(ge=0.0)] | None = None
    """US dollars per million input tokens that the server had in its cache; None is the full price."""
    batch: bool = False
    calibrate: bool = True
    """Whether the LLM also labels the human-labelled items, which is how its accuracy is measured."""

    @field_validator("key_name")
    @classmethod
    def _key_name_is_a_name(cls, name: str) -> str:
        if not _VARIABLE.fullmatch(name) or _KEY_LIKE.match(name):
            raise ValueError(
                "name an environment variable, such as OPENAI_API_KEY; the key itself stays there"
            )
        return name

    @field_validator("spec")
    @classmethod
    def _spec_has_a_known_kind(cls, spec: str) -> str:
        kind, _, name = spec.partition(":")
        if kind in ("neighbours", "none") and not name:
            return spec
        if kind in ("openai", "local", "simulated") and name:
            return spec
        raise ValueError(
            f"'{spec}' is no annotator; use openai:MODEL, local:MODEL, neighbours or none"
        )

    @property
    def kind(self) -> str:
        """The part before the colon."""
        return self.spec.partition(":")[0]

    @property
    def model(self) -> str:
        """The part after the colon."""
        return self.spec.partition(":")[2]


class Training(_Model):
    """How the target is fine-tuned. None means: the target's own default."""

    target: str = "minilm"
    loss: LossName = "label-model"
    mode: TrainingMode = "retrain"
    epochs: Positive | None = None
    learning_rate: Annotated[float, Field(gt=0.0)] | None = None
    batch_size: Positive | None = None
    max_length: Positive = 256
    class_weights: ClassWeights = "none"
    """*balanced* makes every class count the same in the loss, however rare it is."""
    freeze_words: bool = True
    """Whether an encoder's embeddings keep their base values: most of a small one's weights."""
    frozen_layers: NotNegative = 0
    """How many of *minilm*'s six layers keep their base weights; with 3 a fine-tune takes half."""
    average: bool = True
    """Whether a fine-tune ends with the mean of its last states; without, with the last one, as is usual."""
    prior: bool = True
    """Whether the last round's fine-tune takes what the model before believes for a prior of the LLM's
    labels."""
    human_reliability: Annotated[float, Field(gt=0.5, le=1.0)] = 1.0
    """Probability that a label of the person is right, as the label model sees it."""
    validation_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Share of the human labels, never the control slice, held out for early stopping."""
    device: str = "auto"
    """*auto*, *cpu*, *cuda*, *cuda:1* or *mps*; *cpu:float32* gives the same on every processor."""
    processes: Positive = 1
    """Processes that fine-tune together under `accelerate launch`, each on a GPU of its own."""
    ray: Annotated[str, Field(min_length=1)] | None = None
    """Address of a Ray cluster that embeds and predicts; *local* starts one on this machine."""

    @property
    def by_likelihood(self) -> bool:
        """Whether the target learns from how likely what was said is: a fine-tune under the label model."""
        return self.target != "probe" and self.loss == "label-model"


class Settings(_Model):
    """Everything about a project that is not data."""

    task: Task
    budget: Budget = Budget()
    query: Query = Query()
    retrieval: Retrieval = Retrieval()
    annotator: Annotator = Annotator()
    training: Training = Training()
    embedder: str = "minilm"
    seed: NotNegative = 0

    @model_validator(mode="after")
    def _explicit_schedule_sums_to_the_budget(self) -> Settings:
        explicit = self.query.human_per_round
        if explicit is not None and sum(explicit) != self.budget.human:
            raise ValueError(
                f"query.human_per_round sums to {sum(explicit)}, but budget.human is "
                f"{self.budget.human}; set query.human_per_round to null to change the budget"
            )
        return self


def parse_settings(values: dict[str, Any]) -> Settings:
    """Check ``values`` and return settings.

    Raises `SettingsError` that names every wrong value by its dotted path.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError.of(
            [
                (".".join(map(str, problem["loc"])) or "The settings", _words(problem))
                for problem in map(dict[str, Any], error.errors())
            ],
            "Run `imfl-tui config PROJECT.db` to see every setting and its value.",
        ) from error


def parse_stored(values: dict[str, Any]) -> Settings:
    """Return the settings that a project holds.

    One that has been given up since the project was made is left out: it must not keep the project
    from opening. A setting added since then takes its default.
    """
    return parse_settings(_known(Settings, values))


def _known(model: type[BaseModel], values: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in values.items() if name in model.model_fields}
    for name, value in kept.items():
        inner = model.model_fields[name].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(value, dict):
            kept[name] = _known(inner, value)
    return kept


def _words(problem: Mapping[str, Any]) -> str:
    """What is wrong with a value, to follow the name of its setting."""
    said = str(problem["msg"]).removeprefix("Value error, ")
    given = problem["input"]
    if not problem["loc"]:
        return f"do not fit together: {said}"
    if not said.startswith("Input "):
        return f"is not valid: {said}"
    shown = f", not {given}" if isinstance(given, str | int | float) else ""
    said = said.replace("a valid tuple", "a list in square brackets")
    said = re.sub(r"a valid dictionary or instance of \w+", "settings in braces", said)
    return said.removeprefix("Input ").partition(", unable")[0] + shown


def replace_setting(settings: Settings, path: str, value: Any) -> Settings:
    """Return ``settings`` with the value at the dotted ``path`` replaced and everything checked again."""
    values = settings.model_dump(mode="python")
    *parents, leaf = path.split(".")
    node: Any = values
    for part in parents:
        node = node.get(part) if isinstance(node, dict) else None
    if not isinstance(node, dict) or leaf not in node:
        raise SettingsError(
            f"There is no setting called '{path}'.",
            "Run `imfl-tui config PROJECT.db` to see every setting.",
        )
    node[leaf] = value
    return parse_settings(values)


def check_frozen(
    before: Settings, after: Settings, path: str, *, labelled: bool, begun: bool
) -> None:
    """Raise `SettingsError` where the change at ``path`` touches what is `FROZEN`.

    It is frozen once the project is ``labelled`` or a round has ``begun``.
    """
    if not (labelled or begun):
        return
    if any(attrgetter(name)(after) != attrgetter(name)(before) for name in FROZEN):
        raise SettingsError(
            f"'{path}' cannot change now: the labels given so far depend on it.",
            "Create a new project and import these labels into it."
            if begun
            else "Create a new project for another task, or undo every label first.",
        )
