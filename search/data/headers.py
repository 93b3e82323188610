"""The names of a table's columns: cleaned and made different, or recognised as a first row of data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from search.data import number_texts
from search.data.missing_words import is_empty
from search.errors import RequestError, clip, counted, listed


@dataclass(frozen=True)
class Names:
    """The names of the columns.

    Attributes:
        names: the names, all different and none of them empty.
        renamed: a note on those that were not so, or "".
    """

    names: tuple[str, ...]
    renamed: str = ""


def clean(written: Sequence[str]) -> Names:
    """Return names without blanks around them; an empty name becomes ``column 3``, a second ``a`` becomes ``a.2``."""
    stripped = [name.strip() for name in written]
    taken, names, changes = set(stripped), list[str](), list[str]()
    for number, name in enumerate(stripped, 1):
        base = name or f"column {number}"
        new, count = base, 1
        while new in names or (new != name and new in taken):
            count += 1
            new = f"{base}.{count}"
        if new != name:
            changes.append(f"column {number} {clip(name, 40)!r} is called {clip(new, 40)!r}")
        names.append(new)
    return Names(tuple(names), f"names that are empty or given twice: {listed(changes, 6)}" if changes else "")


def nothing_in(cells: NDArray[Any]) -> bool:
    """Return whether all cells of a column are empty."""
    return all(is_empty(cell) if not isinstance(cell, str) else not cell.strip() for cell in cells)


def counts_rows(cells: NDArray[Any]) -> bool:
    """Return whether the cells count the rows from 0 or 1, as the index of a frame that was written with it."""
    first = str(cells[0]).strip() if len(cells) else ""
    if first not in ("0", "1"):
        return False
    start = int(first)
    return all(str(cell).strip() == str(start + row) for row, cell in enumerate(cells))


def refuse_data(place: str, written: Sequence[Any], columns: Sequence[NDArray[Any]]) -> str:
    """Refuse a first line that looks like data; return a note if it is of numbers and was taken for names, or "".

    It does if each of its cells is a number where its column holds numbers, or a value that its column holds too, as in
    ``5.1,3.5,setosa``. Numbers that count from 0 or 1, or years that follow one another, are names.

    Args:
        place: the name of the table in the error.
        written: the cells of the first line.
        columns: the cells of each column below it.

    Raises:
        RequestError: it looks like data.
    """
    texts = [str(cell).strip() for cell in written]
    if not texts or not all(texts) or not len(columns[0]):
        return ""
    if _counts_up(texts):
        return "the first line of numbers was taken for the names; --data header=no reads it as a row"
    matches = 0
    for text, column in zip(texts, columns, strict=True):
        below = {str(cell).strip() for cell in column[:1000] if isinstance(cell, str) or not is_empty(cell)}
        numbers = sum(map(number_texts.looks_like_number, below)) / max(1, len(below))
        if number_texts.looks_like_number(text):
            if numbers < 0.9:
                return ""
            matches += 1
        elif numbers >= 0.9 or not below:
            return ""
        else:
            matches += text in below
    if matches * 2 > len(texts):
        raise RequestError(
            f"{place}: the first line looks like data ({clip(', '.join(texts), 60)}): --data header=no reads it as a"
            f" row and calls the columns 1 to {len(texts)}, --data header=yes takes it for the names"
        )
    return ""


def _counts_up(texts: Sequence[str]) -> bool:
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        return False
    first = numbers[0]
    return numbers == list(range(first, first + len(numbers))) and (first in (0, 1) or 1900 <= first <= 2100)


def numbered(count: int) -> Names:
    """Return the names 1, 2, 3 ... of the columns of a table without names."""
    return Names(tuple(str(number) for number in range(1, count + 1)))


def describe_dropped(empty: Sequence[int], index: Sequence[int]) -> list[str]:
    """Return what to say about columns without names that are left out, counted from 0."""
    said = []
    if empty:
        said.append(f"left out, {counted(len(empty), 'empty column')} without a name: {_places(empty)}")
    if index:
        said.append(f"left out, a column without a name that counts the rows: {_places(index)}")
    return said


def _places(columns: Sequence[int]) -> str:
    return listed([f"column {number + 1}" for number in columns])
