"""The targets of a data set: whether they are classes or numbers, and which classes.

The task is classification if the values are text, true and false, or a few whole numbers: at most 20 different ones,
and at most half as many as there are rows. With other values, or with several columns, the task is regression.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.features import Task
from search.errors import RequestError, clip, counted, unknown

TASKS = ("classification", "regression")
_FEW = 20
_MOST_CLASSES = 1000
_UNBALANCED = 0.8
_LARGEST = float(np.finfo(np.float32).max)
# Rounding to float32 in steps larger than this share of a column's SD would change what can be learned from it.
_COARSEST = 1e-3


class BadRow(RequestError):
    """A value that cannot be used. `row` counts from 0; the message counts from 1, and ends with the advice."""

    def __init__(self, what: str, row: int, advice: str = "") -> None:
        self.what, self.row, self.advice = what, int(row), advice
        super().__init__(self.at(f"row {self.row + 1}"))

    def at(self, place: str) -> str:
        """Return the message with the words for another place, such as ``line 3``."""
        return f"{self.what} in {place}{self.advice}"


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of all rows.

    Attributes:
        task: "classification" or "regression".
        y: class numbers ``(rows,)`` int64, or numbers ``rows x outputs`` float32.
        classes: the names of the classes in the order of their numbers; () for regression.
    """

    task: Task
    y: Tensor
    classes: tuple[str, ...] = ()

    @property
    def labels(self) -> Tensor | None:
        """The class numbers by which a split is stratified, or None for regression."""
        return self.y if self.classes else None

    @property
    def summary(self) -> str:
        """The words for a note: ``classification, 3 classes`` or ``regression, 1 target``."""
        count, what = (len(self.classes), "class") if self.classes else (self.y.shape[1], "target")
        plural = "" if count == 1 else "es" if what == "class" else "s"
        return f"{self.task}, {count} {what}{plural}"


def infer(values: NDArray[Any], place: str, task: object = None) -> Targets:
    """Infer the task and return the targets.

    Args:
        values: the values, ``(rows,)`` or ``rows x outputs``: numbers, booleans or text (str, or objects that are str
            or None for missing).
        place: the words for the values in an error: ``houses.csv: target 'price'``.
        task: "classification" or "regression"; None for the rule above.

    Raises:
        RequestError: a value is missing or infinite, all values are the same, or they do not fit the task.
    """
    if task is not None and task not in TASKS:
        raise unknown(f"task of {place}", clip(str(task)), TASKS)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim not in (1, 2):
        raise RequestError(f"{place} needs one value or one list of values per row, got shape {values.shape}")
    if values.dtype.kind not in "biufUO":
        raise RequestError(f"{place} must hold numbers or text, got {values.dtype}")
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
            raise RequestError(f"{place}: several targets make a regression, which needs numbers")
        return _numbers(values, place)
    different, numbers = np.unique(values, return_inverse=True)
    if len(different) == 1:
        raise RequestError(f"{place} is {clip(_label(different[0]))!r} in every row: there is nothing to learn")
    if text and task == "regression":
        raise RequestError(f"{place} holds text, such as {clip(str(different[0]))!r}: a regression needs numbers")
    if task is None:
        task = (
            "regression" if values.dtype.kind in "iuf" and not _few_whole(different, len(values)) else "classification"
        )
    if task == "regression":
        return _numbers(values[:, None], place)
    if len(different) > _MOST_CLASSES or len(different) == len(values):
        raise RequestError(
            f"{place} has {len(different):,} different values in {len(values):,} rows: too many for classes"
            f" (at most {_MOST_CLASSES:,}, and some more than once)"
        )
    if values.dtype.kind == "f" and float(np.abs(different).max()) >= 2**53:
        raise RequestError(f"{place} has numbers from 2^53 on, which float64 cannot tell apart: write them as text")
    names = tuple(map(_label, different))
    return Targets("classification", torch.from_numpy(numbers.reshape(-1).astype(np.int64)), names)


def imbalance(targets: Targets, place: str) -> list[str]:
    """Return a note if one class has most of the rows, because a high accuracy then says little.

    Args:
        targets: the targets of all rows.
        place: the words for the target: ``homes.csv: target 'sold'``.
    """
    if targets.labels is None:
        return []
    counts = torch.bincount(targets.labels, minlength=len(targets.classes))
    common, rare = int(counts.argmax()), int(counts.argmin())
    share = float(counts[common]) / len(targets.y)
    if share < _UNBALANCED:
        return []
    names = [clip(targets.classes[number], 40) for number in (common, rare)]
    return [
        f"{place}: {share:.1%} of the rows are {names[0]!r}, so always guessing it is {share:.1%} accurate;"
        f" {names[1]!r} has {counted(int(counts[rare]), 'row')}. Judge by --objective"
        " val_balanced_accuracy; the technique class_weight makes rare classes count more"
    ]


def _few_whole(different: NDArray[Any], rows: int) -> bool:
    """Return whether the different values of a column are few and all whole, so that they are taken for classes."""
    return len(different) <= min(_FEW, rows // 2) and bool((different == np.round(different)).all())


def as_float32(values: NDArray[Any], name: Callable[[int], str]) -> Tensor:
    """Convert columns of finite numbers ``rows x columns`` to float32, which must keep their values apart.

    Args:
        values: the numbers.
        name: a function that returns the words for a column in an error.

    Raises:
        RequestError: a number is missing, infinite or beyond the range of float32, or a column varies so little around
            a large number that float32 cannot tell its values apart.
    """
    converted = np.empty(values.shape, np.float32)
    for number in range(values.shape[1]):
        converted[:, number] = validate_column(as_float64(values[:, number], name(number)), name(number))
        if (bad := np.flatnonzero(np.isnan(converted[:, number]))).size:
            raise BadRow(f"{name(number)} is missing", bad[0])
    return torch.from_numpy(converted)


def as_float64(column: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Convert a column of numbers; raise RequestError if different whole numbers would become the same."""
    converted = column.astype(np.float64)
    large = column.dtype.kind in "iu" and column.size > 0 and float(np.abs(converted).max()) >= 2**53
    if large and len(np.unique(converted)) < len(np.unique(column)):
        raise RequestError(f"{name} has whole numbers from 2^53 on that are too close: subtract a constant from them")
    return converted


def validate_column(column: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Return a column that meets the rules of `as_float32`; NaN is allowed for a missing value."""
    validate_range(column, name)
    if is_too_coarse(column):
        known = column[~np.isnan(column)]
        raise RequestError(
            f"{name} has numbers up to {np.abs(known).max():.9g} that differ by about {known.std():.3g}, which float32"
            " cannot tell apart: subtract a constant from them"
        )
    return column


def validate_range(column: NDArray[np.float64], name: str) -> None:
    """Refuse infinite numbers, and those beyond the range of float32; NaN is allowed."""
    bad = np.flatnonzero(np.isinf(column))
    if bad.size:
        raise BadRow(f"{name} is infinite", bad[0])
    largest = float(np.nanmax(np.abs(column), initial=0))
    if largest > _LARGEST:
        raise RequestError(f"{name} has a number of {largest:.3g}: too large for float32 (3.4e38)")


def is_too_coarse(column: NDArray[np.float64]) -> bool:
    """Return whether float32 cannot tell the numbers of a column apart: they vary little around a large number."""
    known = column[~np.isnan(column)]
    spread = float(known.std()) if known.size else 0.0
    return spread > 0 and float(np.spacing(np.float32(np.abs(known).max()))) > _COARSEST * spread


def _numbers(values: NDArray[Any], place: str) -> Targets:
    constant = np.flatnonzero((values == values[0]).all(axis=0))
    if constant.size:
        raise RequestError(f"{place} is {values[0, constant[0]]} in every row: there is nothing to learn")
    return Targets("regression", as_float32(values, lambda _: place))


def _label(value: Any) -> str:
    """Return the name of a class; a whole number has no decimal point."""
    if isinstance(value, np.floating | float):
        number = float(value)
        return f"{number:.0f}" if number.is_integer() and abs(number) < 2**53 else repr(number)
    return str(value)
