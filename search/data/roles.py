"""The columns of a data set that bind or weigh its rows: groups, times and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from search.data.rules import Rules
from search.errors import RequestError, clip, counted


def read(
    columns: Mapping[str, NDArray[Any]], rules: Rules, place: str, where: Callable[[int], str]
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of `Source` that these columns fill, and notes.

    Args:
        columns: the values of all rows, by the name of the column: numbers with NaN, or objects with None, for missing
            ones.
        rules: the rules of the split, which name the columns.
        place: the name of the data set in an error.
        where: a function that returns the words for the place of a row.

    Raises:
        RequestError: a value is missing, or is not of the right kind.
    """
    fields: dict[str, Any] = {}
    notes: list[str] = []
    for role, name in rules.roles.items():
        if name is None:
            continue
        column, shown = columns[name], f"{place}: {role} {clip(name)!r}"
        if column.ndim != 1:
            raise RequestError(f"{shown} needs one value for each row, got shape {column.shape}")
        if (missing := np.flatnonzero(_missing(column))).size:
            raise RequestError(f"{shown} is missing in {where(int(missing[0]))}")
        if role == "group":
            names, numbers = np.unique(column, return_inverse=True)
            fields |= {
                "groups": torch.from_numpy(numbers.astype(np.int64)),
                "group_names": [_text(one) for one in names],
            }
            notes.append(
                f"{place}: the rows of a group in {clip(name)} stay in one part ({counted(len(names), 'group')})"
            )
        elif role == "time":
            times = _times(column, shown, where)
            fields["times"] = times
            order = "" if (np.diff(times) >= 0).all() else "; the rows are not in this order, so they were sorted"
            notes.append(f"{place}: training, validation and test rows follow one another in {clip(name)}{order}")
        else:
            fields["weights"] = weights = _numbers(column, shown, where)
            if (negative := np.flatnonzero(weights < 0)).size:
                raise RequestError(f"{shown} is {weights[negative[0]]:g}, less than 0, in {where(int(negative[0]))}")
            notes.append(f"{place}: rows are weighted by {clip(name)}, from {weights.min():g} to {weights.max():g}")
    return fields, notes


def _missing(column: NDArray[Any]) -> NDArray[np.bool_]:
    if column.dtype == object:
        return np.array([value is None for value in column])
    return np.isnan(column) if column.dtype.kind == "f" else np.zeros(len(column), bool)


def _numbers(column: NDArray[Any], shown: str, where: Callable[[int], str]) -> NDArray[np.float64]:
    if column.dtype.kind not in "biuf":
        raise RequestError(f"{shown} must hold numbers, got {clip(str(column[0]))!r} in {where(0)}")
    numbers = column.astype(np.float64)
    if (infinite := np.flatnonzero(~np.isfinite(numbers))).size:
        raise RequestError(f"{shown} is infinite in {where(int(infinite[0]))}")
    return numbers


def _times(column: NDArray[Any], shown: str, where: Callable[[int], str]) -> NDArray[np.float64]:
    """Return times as numbers that have their order: numbers as they are, dates as seconds since 1970."""
    if column.dtype.kind == "M":
        return column.astype("datetime64[ns]").astype(np.int64) / 1e9
    if column.dtype.kind in "biuf":
        return _numbers(column, shown, where)
    import pandas as pd

    dates = pd.to_datetime(pd.Series(column).astype(str), format="ISO8601", errors="coerce", utc=True)
    if (odd := np.flatnonzero(dates.isna())).size:
        first = int(odd[0])
        raise RequestError(
            f"{shown} must hold numbers or dates such as 2024-03-31, got {clip(str(column[first]))!r} in {where(first)}"
        )
    return dates.astype("datetime64[ns, UTC]").astype(np.int64).to_numpy() / 1e9


def _text(value: Any) -> str:
    number = isinstance(value, np.floating) and float(value).is_integer()
    return f"{value:.0f}" if number else str(value)
