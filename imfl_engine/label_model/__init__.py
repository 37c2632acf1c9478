"""What the labels are worth: one model of the noise for training, review, reporting and routing."""

from imfl_engine.label_model.control import control_accuracy, wilson
from imfl_engine.label_model.evidence import Evidence, LabelModel, LabelModelOptions
from imfl_engine.label_model.halves import Half, halves
from imfl_engine.label_model.head import CrossFit, Head, fit_head
from imfl_engine.label_model.posterior import fit
from imfl_engine.label_model.review import below, expected_in_next, order_by_risk, worst_pair
from imfl_engine.label_model.training_set import TrainingSet, subset, training_set

__all__ = [
    "CrossFit",
    "Evidence",
    "Half",
    "Head",
    "LabelModel",
    "LabelModelOptions",
    "TrainingSet",
    "below",
    "control_accuracy",
    "expected_in_next",
    "fit",
    "fit_head",
    "halves",
    "order_by_risk",
    "subset",
    "training_set",
    "wilson",
    "worst_pair",
]
