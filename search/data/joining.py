"""Several files of one data set as one: the columns of their tables joined, and the place of each row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.table import Table, row_number
from search.errors import clip, counted


def join(tables: Sequence[Table]) -> dict[str, NDArray[Any]]:
    """Return the columns of all rows, in the order of the tables, which have the same columns."""
    first = tables[0].columns
    if len(tables) == 1:
        return dict(first)
    return {name: np.concatenate([table.columns[name] for table in tables]) for name in first}


def with_known_targets(
    tables: Sequence[Table], names: Sequence[str], target: str, options: Mapping[str, Any]
) -> tuple[list[Table], tuple[str, ...]]:
    """Return tables in which each row has a target, and notes on the rows that were left out.

    Args:
        tables: the tables.
        names: the target columns.
        target: what the user calls them.
        options: those of the data set, of which ``missing_target`` says what happens to other rows.

    Raises:
        RequestError: a row has no target, and `options` do not leave it out.
    """
    kept, notes = list[Table](), list[str]()
    for table in tables:
        known, said = table.with_known(names, f"{table.place}: target {clip(target)!r}", options.get("missing_target"))
        kept.append(known)
        notes += said
    return kept, tuple(notes)


def repeated(columns: Mapping[str, NDArray[Any]], tables: Sequence[Table]) -> tuple[str, ...]:
    """Return a note on each table after the first in which rows of the first one are found again, cell for cell.

    Args:
        columns: the columns of all rows, inputs and targets.
        tables: the tables, of which the first is learnt from.
    """
    if len(tables) == 1:
        return ()
    import pandas as pd  # it takes a third of a second, and most data sets are one table

    rows = pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy()
    first, *others = np.split(rows, np.cumsum([table.rows for table in tables])[:-1])
    found = [int(np.isin(other, first).sum()) for other in others]
    return tuple(
        f"{table.place}: {number:,} of its {counted(table.rows, 'row')} are also in {tables[0].place}, cell for cell:"
        " scores on rows that were learnt from are too good"
        for number, table in zip(found, tables[1:], strict=True)
        if number
    )


def places(tables: Sequence[Table]) -> Callable[[int], str]:
    """Return the function that words the place of a row, counted from 0 over all tables: ``line 3`` or ``row 2``.

    A row of another table than the first names its file: ``line 3 of test.csv``.
    """
    return _places(
        [table.rows for table in tables], [table.place for table in tables], [table.place_of_row for table in tables]
    )


def numbered(paths: Sequence[Path], lengths: Sequence[int]) -> Callable[[int], str]:
    """Return the function of `places` for files without lines."""
    return _places(lengths, [path.name for path in paths], [row_number] * len(paths))


def _places(
    lengths: Sequence[int], names: Sequence[str], places_of_row: Sequence[Callable[[int], str]]
) -> Callable[[int], str]:
    ends = list(accumulate(lengths))

    def place(row: int) -> str:
        number = bisect_right(ends, row)
        words = places_of_row[number](row - (ends[number - 1] if number else 0))
        return f"{words} of {names[number]}" if number else words

    return place
