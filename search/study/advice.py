"""What to know about a study's data before it runs: whether one small split decides, and a scale that nothing has."""

from __future__ import annotations

import math

from search.data import Data
from search.data.synthetic import OPTIONS
from search.errors import counted
from search.recipe.schema import DataSet
from search.recipe.space import Space

_FEW = 500
"""Validation rows from which one split is enough: an accuracy of 80% then has a standard error below 1.8 points, and a
mean squared error one of about 6% (of normal errors, sqrt(2 / rows)). Trials of a search seldom differ by less."""


def few_validation_rows(data: Data, spec: DataSet) -> list[str]:
    """Return a line that names ``--folds`` if a single split has few validation rows, or nothing.

    A data set that is drawn has as many rows as one asks for, and validation rows in a file of their own are a choice.
    """
    rows = len(data.x_val)
    if rows >= _FEW or spec.folds or spec.dataset in OPTIONS or isinstance(spec.val, str) or spec.validation != "train":
        return []
    if data.task == "classification":
        error = f"an accuracy of 80% has a standard error of {100 * math.sqrt(0.16 / rows):.1f} points"
    else:
        error = f"a mean squared error has a standard error of about {100 * math.sqrt(2 / rows):.0f}%"
    every = rows + len(data.x_train)
    remedy = f"--folds 5 (in Python folds=5) validates on all {every:,} rows outside the test split"
    if spec.time is not None:
        remedy = "--folds 5 (in Python folds=5) validates on more of them, each fold after the rows that train it"
    elif spec.group is not None:
        remedy = "--folds K (in Python folds=K) validates on all groups outside the test split, at least one a fold"
    return [f"{counted(rows, 'validation row')} decide which trial is best: on so few, {error}; {remedy}"]


def idle_scale(space: Space, spec: DataSet) -> list[str]:
    """Return a line if the scale of the data is that of no trial, because the trials choose others."""
    if not space.scales or spec.scale in (DataSet.model_fields["scale"].default, *space.scales):
        return []
    others = " or ".join(space.scales)
    idle = f"scale {spec.scale} has no effect, because trials have scale {others}"
    return [f"{idle}: --set scale={spec.scale} gives it to all"]
