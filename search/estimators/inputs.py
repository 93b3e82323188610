"""What `fit` and `predict` are given, as a data frame of pandas with clean names, and the columns beside it."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data

from search.data import headers, memory

FEWEST_ROWS = 3
"""A row to validate on, and two to train on."""


def frame_of(estimator: Any, X: Any, *, reset: bool) -> pd.DataFrame:
    """Return the features as a frame; their number and names are checked as scikit-learn does.

    Args:
        estimator: the estimator; with `reset` it learns ``n_features_in_`` and, if there are names,
            ``feature_names_in_``.
        X: a frame, or an array ``rows x features``.
        reset: whether this is a fit.

    Raises:
        ValueError, TypeError: X is no table, is too small, or differs from that of the fit.
    """
    rows = FEWEST_ROWS if reset else 1
    if memory.is_frame(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        frame = memory.as_frame(X).copy(deep=False)
        if len(frame) < rows or not len(frame.columns):
            raise ValueError(
                f"Found array with {len(frame)} sample(s) and {len(frame.columns)} feature(s) while a minimum of {rows}"
                " and 1 is required."
            )
    else:
        array = validate_data(
            estimator, X, reset=reset, dtype=None, ensure_all_finite="allow-nan", ensure_min_samples=rows
        )
        array = array.astype(np.float64) if array.dtype.kind in "biuf" else array
        frame = pd.DataFrame(array).infer_objects()
        frame.columns = pd.Index([f"x{number}" for number in range(array.shape[1])])
    frame.columns = pd.Index(headers.clean(list(map(str, frame.columns))).names)
    return frame.reset_index(drop=True)


def kinds_of(X: Any, frame: pd.DataFrame) -> dict[str, str]:
    """Return the kind of each column that is a number for sure: those of an array of numbers."""
    return {} if memory.is_frame(X) else {name: "number" for name in frame.columns if frame[name].dtype.kind == "f"}


def targets_of(estimator: Any, y: Any, X: Any) -> NDArray[Any]:
    """Return the targets, ``(rows,)`` or ``rows x outputs``.

    Raises:
        ValueError: they are missing, infinite, or not as many as the rows.
    """
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    targets: NDArray[Any] = check_array(y, ensure_2d=False, dtype=None, input_name="y", estimator=estimator)
    check_consistent_length(X, targets)
    return targets


def weights_of(sample_weight: Any, rows: int) -> NDArray[np.float64] | None:
    """Return the weights, ``(rows,)``; None if all are the same, which is as good as none.

    Raises:
        ValueError: they are not numbers >= 0, one for each row, or all are 0.
    """
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(rows, sample_weight)
    weights: NDArray[np.float64] = check_array(
        sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight"
    )
    if weights.shape != (rows,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(rows,)}")
    if (weights < 0).any():
        raise ValueError("sample_weight must not be negative")
    if not weights.any():
        raise ValueError("sample_weight is zero in every row: there is nothing to learn from")
    return None if (weights == weights[0]).all() else weights


def groups_of(groups: Any, rows: int) -> NDArray[np.int64] | None:
    """Return the number of each row's group, ``(rows,)``.

    Raises:
        ValueError: there is not one group for each row, or it is missing.
    """
    if groups is None:
        return None
    numbers, _ = pd.factorize(np.asarray(groups).reshape(-1))
    if numbers.shape != (rows,):
        raise ValueError(f"groups has {len(numbers)} values, expected one for each of {rows} rows")
    if (numbers < 0).any():
        raise ValueError(f"groups is missing in row {int((numbers < 0).argmax()) + 1}")
    return numbers.astype(np.int64)
