"""How well one column alone predicts the target: a column that does so nearly perfectly may be made from the target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_ROWS = 5000
_MOST_VALUES = 50
_FOLDS = 3
_LEAVES = 16

SUSPICIOUS = 0.97
"""The score from which a column is suspicious."""


def score(column: NDArray[Any], y: NDArray[Any], *, classes: bool) -> float | None:
    """Return how well a small tree on one column predicts the target, cross-validated; None if there are too few rows.

    The tree has at most 16 leaves, or twice as many as there are classes. The score is the balanced accuracy for
    classes, scaled so that guessing is 0 (``adjusted`` in scikit-learn), and otherwise R². At most 5,000 rows are
    used.

    Args:
        column: the values of all rows: numbers with NaN, or text with None.
        y: the class numbers ``(rows,)``, or the targets ``rows x outputs``.
        classes: whether these are classes.
    """
    from sklearn.metrics import balanced_accuracy_score, r2_score
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if classes:
        numbers, counts = np.unique(y, return_counts=True)
        # A class of one or two rows cannot be in each fold, and says nothing here.
        y_known = np.isin(y, numbers[counts >= _FOLDS])
        column, y = column[y_known], y[y_known]
        if len(np.unique(y)) < 2:
            return None
    chosen = np.random.default_rng(0).permutation(len(y))[:_MOST_ROWS]
    if len(chosen) < 2 * _FOLDS:
        return None
    x, y = _numbers(column[chosen]), y[chosen]
    if not classes:
        tree = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, random_state=0)
        found = cross_val_predict(tree, x, y, cv=KFold(_FOLDS, shuffle=True, random_state=0))
        return float(r2_score(y, found))
    if np.unique(y, return_counts=True)[1].min() < _FOLDS:
        return None
    tree = DecisionTreeClassifier(
        max_leaf_nodes=max(_LEAVES, 2 * len(np.unique(y))), class_weight="balanced", random_state=0
    )
    found = cross_val_predict(tree, x, y, cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=0))
    return float(balanced_accuracy_score(y, found, adjusted=True))


def _numbers(column: NDArray[Any]) -> NDArray[np.float64]:
    """Return the inputs of a tree: numbers as they are; of text, one for each of the commonest 50 values."""
    if column.dtype != object:
        return np.where(np.isfinite(column), column, np.nan)[:, None]
    texts = np.array(["" if value is None else value for value in column])
    values, counts = np.unique(texts, return_counts=True)
    common = values[np.argsort(-counts, kind="stable")[:_MOST_VALUES]]
    return np.asarray(texts[:, None] == common[None], dtype=np.float64)
