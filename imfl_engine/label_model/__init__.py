"""What the labels are worth: one model of the noise for training, review, reporting and routing."""

from imfl_engine.label_model.confusion import worst_pair
from imfl_engine.label_model.control import ControlAnswer, accuracy_of_bought, wilson
from imfl_engine.label_model.evidence import Evidence, LabelModel, LabelModelOptions
from imfl_engine.label_model.head import CrossFit, Head, fit_head
from imfl_engine.label_model.opinion import informed
from imfl_engine.label_model.posterior import fit
from imfl_engine.label_model.training_set import TrainingSet, balanced, training_set
from imfl_engine.label_model.worth import say_nothing, say_something

__all__ = [
    "ControlAnswer",
    "CrossFit",
    "Evidence",
    "Head",
    "LabelModel",
    "LabelModelOptions",
    "TrainingSet",
    "accuracy_of_bought",
    "balanced",
    "fit",
    "fit_head",
    "informed",
    "say_nothing",
    "say_something",
    "training_set",
    "wilson",
    "worst_pair",
]
