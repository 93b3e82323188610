"""Several files of one data set as one: the columns of their tables joined, and the place of each row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np

from search.data import table_files
from search.data.encoders import Column
from search.errors import RequestError, clip, listed


def join(tables: Sequence[Mapping[str, Column]], paths: Sequence[Path]) -> dict[str, Column]:
    """Return the columns of all rows, in the order of the files.

    Raises:
        RequestError: a file lacks a column of the first one, has another, or holds text where the first has numbers.
    """
    first = tables[0]
    for table, path in zip(tables[1:], paths[1:], strict=True):
        missing = [name for name in first if name not in table]
        others = [name for name in table if name not in first]
        if missing or others:
            faults = [f"it has no {listed(missing)}"] * bool(missing) + [f"it has also {listed(others)}"] * bool(others)
            raise RequestError(f"{path.name} must have the columns of {paths[0].name}: {'; '.join(faults)}")
    return {name: _joined(name, [table[name] for table in tables], paths) for name in first}


def _joined(name: str, columns: Sequence[Column], paths: Sequence[Path]) -> Column:
    text = [column.dtype == object for column in columns]
    if not any(text) or all(text):
        return np.concatenate(columns)
    # A column without any value is read as numbers, or as text.
    empty = [_is_empty(column) for column in columns]
    kinds = {kind for kind, without in zip(text, empty, strict=True) if not without}
    if len(kinds) > 1:
        odd = next(number for number in range(1, len(columns)) if text[number] != text[0] and not empty[number])
        here, there = ("text" if text[number] else "numbers" for number in (odd, 0))
        raise RequestError(
            f"{paths[odd].name}: column {clip(name)!r} holds {here}, but {there} in {paths[0].name}: write it the same"
            f" way in both, or leave it out with --data drop={clip(name)}"
        )
    as_text = kinds == {True}
    filler, kind = (None, object) if as_text else (np.nan, np.float64)
    return np.concatenate(
        [np.full(len(one), filler, kind) if without else one for one, without in zip(columns, empty, strict=True)]
    )


def _is_empty(column: Column) -> bool:
    return all(value is None for value in column) if column.dtype == object else bool(np.isnan(column).all())


def places(paths: Sequence[Path], lengths: Sequence[int]) -> Callable[[int], str]:
    """Return the function that words the place of a row, counted from 0 over all files: ``line 3`` or ``row 2``.

    A row of another file than the first names the file: ``line 3 of test.csv``.
    """
    ends = list(accumulate(lengths))

    def place(row: int) -> str:
        number = bisect_right(ends, row)
        path = paths[number]
        words = table_files.place(path, row - (ends[number - 1] if number else 0))
        return f"{words} of {path.name}" if number else words

    return place
