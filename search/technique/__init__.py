"""The definition of a technique: its hyperparameters and its hooks into training."""

from search.technique.hyperparameter import Hyperparameter, Numeric, Structural, Value
from search.technique.layout import Field
from search.technique.technique import Batch, Inputs, StudyContext, Technique, Values

__all__ = [
    "Batch",
    "Field",
    "Hyperparameter",
    "Inputs",
    "Numeric",
    "Structural",
    "StudyContext",
    "Technique",
    "Value",
    "Values",
]
