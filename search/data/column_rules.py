"""What is known about a table's columns before they are read, and what is found out about each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from search.data.column_spec import ColumnSpec


@dataclass(frozen=True)
class Rules:
    """What a person, or the rest of the file, says about how its columns are read.

    Attributes:
        decimal: the sign before decimals in the whole file, "" if unknown.
        likely_decimal: the sign before decimals where ``1,500`` may be either.
        day_first: whether 01/02/2024 is the first of February; None to decide for each column.
        missing: further words that are missing.
        kept: words that are values although they usually stand for missing ones.
        numbers_in_text: whether texts may be read as numbers; False for text that somebody has typed as text.
    """

    decimal: str = ""
    likely_decimal: str = ""
    day_first: bool | None = None
    missing: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    numbers_in_text: bool = True


@dataclass(frozen=True)
class Remark:
    """Something that was decided about a column.

    Attributes:
        what: the decision; equal ones of several columns make one note.
        name: the column's name.
        example: a cell and what it became, or "".
        row: the row of the example, from 0, or None if that does not matter.
    """

    what: str
    name: str
    example: str = ""
    row: int | None = None


@dataclass(frozen=True, eq=False)
class Examined:
    """A column: its spec, its values (see `parse`), the remarks on it, and the words that were taken for missing."""

    spec: ColumnSpec
    values: NDArray[Any]
    remarks: tuple[Remark, ...]
    missing_words: tuple[str, ...] = ()
