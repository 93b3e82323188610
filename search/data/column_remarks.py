"""What is said about how a column was read: the words taken for missing, and an example of a cell and its value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data import date_texts, number_texts
from search.data.column_rules import Remark
from search.data.column_spec import ColumnSpec, as_objects, as_text
from search.errors import clip

_SEVERAL = 10
_SHOWN = 40  # the longest cell that a note shows


def missing(spec: ColumnSpec, words: Sequence[str], rows: Mapping[str, Sequence[int]]) -> Iterator[Remark]:
    """Yield a remark on each of the first three words that were taken for missing, with their rows."""
    for word in words[:3]:
        cells = "" if len(rows[word]) == 1 else f" in {len(rows[word]):,} cells, the first"
        how = ", as asked" if word in spec.missing else "; --data keep=WORD makes a word a value"
        yield Remark(f"words taken for missing{how}", spec.name, f"{clip(word, _SHOWN)!r}{cells}", rows[word][0])


def reading(spec: ColumnSpec, cells: NDArray[Any], values: NDArray[Any], texts: Sequence[str]) -> Iterator[Remark]:
    """Yield a remark on a column of dates or times, or of numbers that are not written plainly.

    Args:
        spec: how the column was read.
        cells: its cells.
        values: its values.
        texts: its different texts.
    """
    if spec.kind == "number":
        signs = [(spec.decimal == ",", "decimal commas"), (spec.thousands, "thousands separators")]
        signs += [(spec.currency, "a currency"), (spec.percent, "percent signs")]
        said = [what for sign, what in signs if sign]
        if said:
            either = ""
            if "," in (spec.decimal, spec.thousands) and number_texts.could_be_either(texts):
                either = f"; --data decimal={'comma' if spec.decimal == '.' else 'point'} reads them otherwise"
            yield from _example(
                f"numbers with {' and '.join(said)}{either}", spec, cells, values, lambda value: f"{value:.10g}"
            )
    elif spec.kind == "date":
        what = (
            f"dates{_order(spec.date_format)}; --data dates=drop leaves them out, --column NAME=KIND decides otherwise"
        )
        yield from _example(what, spec, cells, values, spec.shown)
    elif spec.kind == "time":
        yield from _example("times of the day; --column NAME=KIND decides otherwise", spec, cells, values, spec.shown)


def _order(date_format: str) -> str:
    """Return the words for the order of day and month, where a format has both as numbers and not the year first."""
    day, month = date_format.find("%d"), date_format.find("%m")
    if min(day, month) < 0 or date_format.find("%Y") == 0:
        return ""
    other = "month" if day < month else "day"
    return f", {'day' if day < month else 'month'} first (--data dates={other}-first reads them otherwise)"


def possible_times(name: str, values: NDArray[np.float64]) -> Iterator[Remark]:
    """Yield a remark if numbers, without missing ones, could count the seconds or their thousandths from 1970."""
    could_be = date_texts.unix_unit("", values, certain=True) in ("s", "ms")
    if could_be and bool((values == np.round(values)).all()) and len(np.unique(values)) >= _SEVERAL:
        what = "numbers that may count the time from 1970; --column NAME=date reads them so"
        yield Remark(what, name, f"{values[0]:.0f}")


def _late_days(seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which times, in seconds from 1970, are after the twelfth day of a month."""
    days = np.floor(seconds / 86_400).astype(np.int64).astype("datetime64[D]")
    late: NDArray[np.bool_] = (days - days.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) >= 12
    return late


def _example(
    what: str, spec: ColumnSpec, cells: NDArray[Any], values: NDArray[Any], shown: Callable[[float], str]
) -> Iterator[Remark]:
    known = np.flatnonzero(~np.isnan(values))[:50]
    if known.size:
        texts = [as_text(item).strip() for item in as_objects(cells[known])]
        # The longest text shows most, and of dates one whose day cannot be a month.
        late = _late_days(values[known]) if spec.kind == "date" else np.zeros(known.size, dtype=bool)
        number = max(range(len(texts)), key=lambda number: (late[number], len(texts[number])))
        example = f"{clip(texts[number], _SHOWN)!r} is {shown(float(values[known[number]]))}"
        yield Remark(what, spec.name, example)
