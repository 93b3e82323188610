"""What is to be predicted: whether a column holds classes or numbers, and which classes.

Classification where the values are text, true and false, or whole numbers that are few: at most 20 different ones, and
no more than half as many as there are rows. Everything else, and more than one column, is a regression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.dataset import Task
from search.errors import RequestError, clip, unknown

TASKS = ("classification", "regression")
_FEW = 20
_MOST_CLASSES = 1000
_LARGEST = float(np.finfo(np.float32).max)
# Steps of float32 larger than this share of a column's SD would change what can be learned from it.
_COARSEST = 1e-3


class BadRow(RequestError):
    """A value that cannot be used; rows are counted from 0 here, from 1 in the message."""

    def __init__(self, what: str, row: int) -> None:
        self.what, self.row = what, int(row)
        super().__init__(f"{what} in row {self.row + 1}")


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of all rows: y (rows,) int64 class numbers, or (rows, outputs) float32."""

    task: Task
    y: Tensor
    classes: tuple[str, ...] = ()

    @property
    def labels(self) -> Tensor | None:
        """What a split is stratified by."""
        return self.y if self.classes else None

    @property
    def told(self) -> str:
        """``classification, 3 classes`` or ``regression, 1 target``, for a note."""
        count, what = (len(self.classes), "class") if self.classes else (self.y.shape[1], "target")
        plural = "" if count == 1 else "es" if what == "class" else "s"
        return f"{self.task}, {count} {what}{plural}"


def infer(values: NDArray[Any], place: str, task: object = None) -> Targets:
    """Targets of values ``rows`` or ``rows x outputs``.

    Args:
        values: numbers, booleans or text (an array of str, or of objects that are str, or None for missing).
        place: what an error calls them: ``houses.csv: target 'price'``.
        task: "classification" or "regression"; None for the rule above.

    Raises:
        RequestError: a value is missing or infinite, all are the same, or the task is not possible with them.
    """
    if task is not None and task not in TASKS:
        raise unknown(f"task of {place}", clip(str(task)), TASKS)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2):
        raise RequestError(f"{place} takes one value a row, or a row of them, got shape {values.shape}")
    if values.dtype.kind not in "biufUO":
        raise RequestError(f"{place} takes numbers or text, got {values.dtype}")
    if not len(values):
        raise RequestError(f"{place} has no rows")
    text = values.dtype.kind in "UO"
    if values.dtype.kind == "O":
        missing = [number for number, row in enumerate(values.reshape(len(values), -1)) if any(v is None for v in row)]
        if missing:
            raise BadRow(f"{place} is missing", missing[0])
    if values.dtype.kind == "f" and (odd := np.argwhere(~np.isfinite(values))).size:
        what = "missing" if np.isnan(values[tuple(odd[0])]) else "infinite"
        raise BadRow(f"{place} is {what}", odd[0][0])
    if values.ndim == 2:
        if text or task == "classification":
            raise RequestError(f"{place}: several targets make a regression, which takes numbers")
        return _numbers(values, place)
    different, numbers = np.unique(values, return_inverse=True)
    if len(different) == 1:
        raise RequestError(f"{place} is {clip(_label(different[0]))!r} in every row: there is nothing to learn")
    if text and task == "regression":
        raise RequestError(f"{place} holds text, such as {clip(str(different[0]))!r}: a regression takes numbers")
    if task is None:
        few = len(different) <= min(_FEW, len(values) // 2) and bool((different == np.round(different)).all()) \
            if values.dtype.kind in "iuf" else True  # fmt: skip
        task = "classification" if few else "regression"
    if task == "regression":
        return _numbers(values[:, None], place)
    if len(different) > _MOST_CLASSES or len(different) == len(values):
        raise RequestError(
            f"{place} has {len(different):,} different values in {len(values):,} rows: too many for classes"
            f" (at most {_MOST_CLASSES:,}, and some more than once)"
        )
    if values.dtype.kind == "f" and float(np.abs(different).max()) >= 2**53:
        raise RequestError(f"{place} has numbers from 2^53 on, which cannot be told apart: takes text for such classes")
    names = tuple(map(_label, different))
    return Targets("classification", torch.from_numpy(numbers.reshape(-1).astype(np.int64)), names)


def as_float32(values: NDArray[Any], name: Callable[[int], str]) -> Tensor:
    """Columns of finite numbers ``rows x columns`` as float32, in which they must stay what they are.

    Args:
        name: what an error calls a column.

    Raises:
        RequestError: a number is missing or infinite, beyond the range of float32, or so far from 0 for how little the
            column varies that float32 cannot tell its values apart.
    """
    made = np.empty(values.shape, np.float32)
    for number in range(values.shape[1]):
        made[:, number] = checked_column(as_float64(values[:, number], name(number)), name(number))
        if (bad := np.flatnonzero(np.isnan(made[:, number]))).size:
            raise BadRow(f"{name(number)} is missing", bad[0])
    return torch.from_numpy(made)


def as_float64(column: NDArray[Any], name: str) -> NDArray[np.float64]:
    """One column of numbers; raises RequestError for whole numbers that would become the same."""
    made = column.astype(np.float64)
    large = column.dtype.kind in "iu" and column.size > 0 and float(np.abs(made).max()) >= 2**53
    if large and len(np.unique(made)) < len(np.unique(column)):
        raise RequestError(f"{name} has whole numbers from 2^53 on that are too close: subtract a constant from them")
    return made


def checked_column(column: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """One column, as `as_float32` wants it, except that NaN may stand where a value is missing."""
    bad = np.flatnonzero(np.isinf(column))
    if bad.size:
        raise BadRow(f"{name} is infinite", bad[0])
    known = column[~np.isnan(column)]
    if not known.size:
        return column
    largest = float(np.abs(known).max())
    if largest > _LARGEST:
        raise RequestError(f"{name} has a number of {largest:.3g}: too large for float32 (3.4e38)")
    spread = float(known.std())
    if spread > 0 and float(np.spacing(np.float32(largest))) > _COARSEST * spread:
        raise RequestError(
            f"{name} has numbers up to {largest:.9g} that differ by about {spread:.3g}: in float32 they are the same;"
            " subtract a constant from them"
        )
    return column


def _numbers(values: NDArray[Any], place: str) -> Targets:
    constant = np.flatnonzero((values == values[0]).all(axis=0))
    if constant.size:
        raise RequestError(f"{place} is {values[0, constant[0]]} in every row: there is nothing to learn")
    return Targets("regression", as_float32(values, lambda _: place))


def _label(value: Any) -> str:
    """A class's name: a whole number without a point."""
    if isinstance(value, np.floating | float):
        number = float(value)
        return f"{number:.0f}" if number.is_integer() and abs(number) < 2**53 else repr(number)
    return str(value)
