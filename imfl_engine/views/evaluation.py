"""A model measured on labelled items."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from imfl_engine.types import Interval


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One row of the per-class table."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Predictions with a confidence in [low, high): how sure, and how often right."""

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model measured on labelled items. ``confusion[i][j]`` counts truth i predicted as j."""

    scope: str
    accuracy: Interval
    macro_f1: Interval
    classes: tuple[ClassScore, ...]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    calibration: tuple[CalibrationBin, ...]
    expected_calibration_error: float
    majority: tuple[str, float]
    round: int
    details: dict[str, Any] = field(default_factory=dict)
