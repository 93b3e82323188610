"""How the cells of a column are read, as data that can be stored, and `parse`, which reads new cells."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.data import date_texts
from search.data.missing_words import is_empty, is_missing
from search.data.number_texts import NumberFormat
from search.data.targets import BadRow, as_float64
from search.errors import RequestError, clip
from search.storage.fields import Part

Kind = Literal["number", "category", "date", "time"]
"""What a column holds."""


class ColumnSpec(Part):
    """How the cells of a column are read; `parse` does it.

    Attributes:
        name: the name of the column.
        kind: what it holds.
        decimal, thousands, currency, percent: how numbers are written; see `NumberFormat`.
        date_format: a format of `strptime`, "ISO8601", or "mixed" for texts that differ.
        day_first: for "mixed": whether 01/02/2024 is the first of February.
        unit: the unit in which numbers in a column of dates count from 1970.
        missing: further words that are missing in this column.
        kept: words that are values in this column, although they usually stand for missing ones.
        spellings: the value of each spelling, in small letters, where several spellings are one value.
    """

    name: str
    kind: Kind
    decimal: str = "."
    thousands: str = ""
    currency: str = ""
    percent: bool = False
    date_format: str = ""
    day_first: bool = False
    unit: Literal["", "s", "ms", "us", "ns"] = ""
    missing: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    spellings: Mapping[str, str] = {}

    @property
    def number_format(self) -> NumberFormat:
        """How numbers are written."""
        return NumberFormat(self.decimal, self.thousands, self.currency, self.percent)

    def shown(self, value: Any) -> str:
        """Return the words for a value: a date or a time as people write it."""
        if self.kind == "date":
            when = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=float(value))
            return str(when) if value % 86_400 else str(when.date())
        if self.kind == "time":
            return str(datetime.timedelta(seconds=float(value))).rjust(8, "0")
        return as_text(value)

    def is_missing(self, text: str) -> bool:
        """Return whether a text, without blanks around it, is missing in this column."""
        return is_missing(
            text,
            among_numbers=self.kind != "category",
            further=frozenset(self.missing),
            kept=frozenset(self.kept),
        )


def parse(spec: ColumnSpec, cells: NDArray[Any]) -> NDArray[Any]:
    """Read cells of a column: texts, numbers, booleans, dates or times; None, NaN, NaT and pandas' NA are missing.

    Returns:
        For each cell: a number, float64 with NaN for missing ones; a category, str or None; a date, the seconds since
        1970 UTC, float64 with NaN; a time of the day, the seconds since midnight, float64 with NaN.

    Raises:
        BadRow: a cell is not of the column's kind.
    """
    if cells.dtype.kind in "iuf" and spec.kind == "number":
        return _without(spec, as_float64(cells, f"column {clip(spec.name)!r}"))
    if cells.dtype.kind == "M" and spec.kind == "date":
        return date_texts.of_datetimes(cells)
    items = as_objects(cells)
    if spec.kind == "category":
        return _categories(spec, items)
    values = np.full(len(items), np.nan)
    typed, texts = _TYPED[spec.kind], dict[str, list[int]]()
    for row, item in enumerate(items):
        if isinstance(item, str):
            texts.setdefault(item.strip(), []).append(row)
        elif not is_empty(item):
            value = typed(spec, item)
            if value is None:
                raise _bad(spec, item, row)
            values[row] = value
    known = [text for text in texts if not spec.is_missing(text)]
    for text, value in zip(known, _values(spec, known), strict=True):
        if value is None or np.isnan(value):
            raise _bad(spec, text, texts[text][0])
        values[texts[text]] = value
    return _without(spec, values) if spec.kind == "number" else values


def _without(spec: ColumnSpec, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers in which those that somebody has called missing, such as -999, are NaN."""
    plain = NumberFormat()
    numbers = [number for word in spec.missing if (number := plain.parse(word)) is not None]
    return np.where(np.isin(values, numbers), np.nan, values) if numbers else values


def as_objects(cells: NDArray[Any]) -> list[Any]:
    """Return the cells as Python's and pandas' objects; a datetime64 becomes a Timestamp."""
    if cells.dtype.kind in "mM":
        import pandas as pd

        return list(pd.Series(cells))
    return list(cells.tolist())


def as_text(item: Any) -> str:
    """Return the text of a cell; a whole number has no decimal point."""
    if isinstance(item, float | np.floating):
        number = float(item)
        return f"{number:.0f}" if number.is_integer() and abs(number) < 2**53 else repr(number)
    if isinstance(item, datetime.date | datetime.time):
        return item.isoformat()
    return str(item)


def _categories(spec: ColumnSpec, items: Sequence[Any]) -> NDArray[Any]:
    values = np.full(len(items), None, dtype=object)
    for row, item in enumerate(items):
        if not isinstance(item, str) and is_empty(item):
            continue
        text = item.strip() if isinstance(item, str) else as_text(item)
        if not spec.is_missing(text):
            values[row] = spec.spellings.get(text.casefold(), text)
    return values


def _values(spec: ColumnSpec, texts: Sequence[str]) -> Sequence[float | None] | NDArray[np.float64]:
    if spec.kind == "number":
        return list(map(spec.number_format.parse, texts))
    if spec.kind == "time":
        return list(map(date_texts.time_of_day, texts))
    if spec.unit:
        numbers = np.array([np.nan if (value := NumberFormat().parse(text)) is None else value for text in texts])
        return date_texts.of_unix(numbers, spec.unit)
    return date_texts.seconds(texts, spec.date_format or date_texts.ISO, day_first=spec.day_first)


def _number(_: ColumnSpec, item: Any) -> float | None:
    if isinstance(item, datetime.timedelta):
        return item.total_seconds()
    if isinstance(item, int | float | Decimal | np.number | np.bool_):
        try:
            return float(item)
        except OverflowError:
            return float("inf")
    return None


def _date(spec: ColumnSpec, item: Any) -> float | None:
    number = _number(spec, item) if not isinstance(item, bool | datetime.timedelta) else None
    if number is not None and spec.unit:
        return float(date_texts.of_unix(np.array([number]), spec.unit)[0])
    if number is not None:
        return float(date_texts.seconds([as_text(item)], spec.date_format)[0]) if spec.date_format else None
    if isinstance(item, datetime.datetime):
        # A date without a zone is in UTC.
        return (item if item.tzinfo else item.replace(tzinfo=datetime.UTC)).timestamp()
    if isinstance(item, datetime.date):
        return datetime.datetime(item.year, item.month, item.day, tzinfo=datetime.UTC).timestamp()
    return None


def _time(_: ColumnSpec, item: Any) -> float | None:
    if isinstance(item, datetime.time):
        return item.hour * 3600 + item.minute * 60 + item.second + item.microsecond / 1e6
    return None


_TYPED: Mapping[Kind, Callable[[ColumnSpec, Any], float | None]] = {"number": _number, "date": _date, "time": _time}


def _bad(spec: ColumnSpec, item: Any, row: int) -> RequestError:
    shown = repr(clip(item, 40)) if isinstance(item, str) else clip(as_text(item), 40)
    return BadRow(
        f"column {clip(spec.name)!r} holds {spec.kind}s, and {shown}",
        row,
        advice_on(spec.name, item) if isinstance(item, str) else "",
    )


def advice_on(name: str, word: str) -> str:
    """Return the words on what to do with a cell of another kind, for the end of an error."""
    return (
        f": --data missing={_quoted(word)} takes it for missing, --column {_quoted(name)}=category reads the column as"
        " text"
    )


def _quoted(word: str) -> str:
    return word if word.isidentifier() else repr(clip(word, 40))
