"""The definition of a technique: its hyperparameters and its hooks into training."""

from search.technique.hyperparameter import Hyperparameter, Numeric, Structural, Value
from search.technique.layout import Field
from search.technique.loops import Array, Gate, Loops
from search.technique.norms import LargestNorm
from search.technique.technique import Batch, StudyContext, Technique
from search.technique.values import Inputs, Values

__all__ = [
    "Array",
    "Batch",
    "Field",
    "Gate",
    "Hyperparameter",
    "Inputs",
    "LargestNorm",
    "Loops",
    "Numeric",
    "Structural",
    "StudyContext",
    "Technique",
    "Value",
    "Values",
]
