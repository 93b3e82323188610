"""What a technique is: its hyperparameters and its hooks into training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.technique.hyperparameter import Hyperparameter, Numeric, Structural, Value
from search.technique.technique import Batch, Inputs, StudyContext, Technique, Values

if TYPE_CHECKING:
    from search.train.layout import Field as Field  # for the annotation of an `init` hook

__all__ = [
    "Batch",
    "Hyperparameter",
    "Inputs",
    "Numeric",
    "Structural",
    "StudyContext",
    "Technique",
    "Value",
    "Values",
]
