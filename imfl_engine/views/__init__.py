"""What a screen or a command shows: immutable snapshots computed by the store and the loop.

Nothing here is stored; a caller asks `Project` for a fresh one.
"""

from __future__ import annotations

from imfl_engine.views.budget import LEAST_USD, BudgetUse, CostEstimate
from imfl_engine.views.evaluation import CalibrationBin, ClassScore, Evaluation
from imfl_engine.views.imports import ImportReport
from imfl_engine.views.items import ItemDetail, ItemFilter, ItemRow, Opinion, QueueItem, SimilarItem
from imfl_engine.views.review import REVIEW_AHEAD, LabelsBelow, ReviewPage, ReviewRow
from imfl_engine.views.standing import CurvePoint, LabelCount, LlmTrust, RoundProgress, Status

__all__ = [
    "LEAST_USD",
    "REVIEW_AHEAD",
    "BudgetUse",
    "CalibrationBin",
    "ClassScore",
    "CostEstimate",
    "CurvePoint",
    "Evaluation",
    "ImportReport",
    "ItemDetail",
    "ItemFilter",
    "ItemRow",
    "LabelCount",
    "LabelsBelow",
    "LlmTrust",
    "Opinion",
    "QueueItem",
    "ReviewPage",
    "ReviewRow",
    "RoundProgress",
    "SimilarItem",
    "Status",
]
