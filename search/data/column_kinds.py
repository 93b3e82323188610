"""The kinds of a table's columns: numbers, categories, dates and times of the day, recognised by all of their cells.

    infer    raw cells -> the column's `ColumnSpec`, its values, and notes on what was decided
    parse    new cells, by a spec -> values

A column of text is of the first kind in this list that each of its cells is, missing ones apart:

    category   whole numbers of which one begins with 0 (postcodes), or that have 16 digits or more (keys)
    date       whole numbers that count from 1970 (see `date_texts.unix_unit`) or read 20240131
    number     in any format of `number_texts`
    time       9:30, 21:30:15, 9:30 PM
    date       in any format of `date_texts`
    category   any other text

In a column of numbers, dates or times, words such as ``?`` or ``unknown`` are missing (see `missing_words`). If nearly
all cells are numbers, dates or times and others are neither that nor missing, the column is refused with the first of
them, because either guess could be wrong.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data import column_remarks, date_texts, number_texts, odd_cells
from search.data.booleans import spellings_of
from search.data.column_rules import Examined, Remark, Rules
from search.data.column_spec import ColumnSpec, Kind, as_objects, as_text, parse
from search.data.missing_words import is_empty, is_missing
from search.data.number_texts import NumberFormat
from search.errors import RequestError, clip

__all__ = ["ColumnSpec", "Examined", "Kind", "Remark", "Rules", "examine", "infer", "parse"]

_SEVERAL = 10
_KEY_DIGITS = 16
_INTERESTING = 40  # the longest cell that a note shows


def infer(
    name: str, cells: NDArray[Any], *, kind: Kind | None = None, rules: Rules | None = None
) -> tuple[ColumnSpec, NDArray[Any], list[str]]:
    """Return the spec of a column, its values and notes on what was decided; see `examine`."""
    column = examine(name, cells, kind=kind, rules=rules)
    notes = []
    for remark in column.remarks:
        example = f" ({remark.example}{'' if remark.row is None else f' in row {remark.row + 1}'})"
        notes.append(f"column {clip(name)!r}: {remark.what}{example if remark.example else ''}")
    return column.spec, column.values, notes


def examine(name: str, cells: NDArray[Any], *, kind: Kind | None = None, rules: Rules | None = None) -> Examined:
    """Find out how a column is read, and read it.

    Args:
        name: the name of the column.
        cells: its cells ``(rows,)``: texts, numbers, booleans, dates or times.
        kind: what it holds, if somebody has said so.
        rules: what else is known.

    Raises:
        BadRow: a cell is not of the kind of the others, or of the kind that is asked for.
        RequestError: the cells are of a type that cannot be used, such as lists.
    """
    return _Column(name, cells, kind, rules or Rules()).examined()


@dataclass(eq=False)
class _Column:
    name: str
    cells: NDArray[Any]
    asked: Kind | None
    rules: Rules
    rows: dict[str, list[int]] = field(default_factory=dict)
    """The rows of each different text."""
    remarks: list[Remark] = field(default_factory=list)

    def examined(self) -> Examined:
        plain = self._plain_numbers() if self.asked in (None, "number") and self.cells.dtype == object else None
        if plain is not None:
            return Examined(self._spec("number"), plain, ())
        spec = self._typed() if self.cells.dtype.kind in "iufbmM" else self._of_objects()
        values = parse(spec, self.cells)
        words = tuple(text for text in self.rows if text and spec.is_missing(text))
        self.remarks += column_remarks.missing(spec, words, self.rows)
        self.remarks += column_remarks.reading(spec, self.cells, values, list(self.rows))
        return Examined(spec, values, tuple(self.remarks), words)

    def _plain_numbers(self) -> NDArray[np.float64] | None:
        """Return the values of a column that is clearly of plain numbers, which is quick, or None for any other."""
        rules, cells = self.rules, self.cells.tolist()
        if not rules.numbers_in_text or rules.decimal or rules.missing or set(map(type, cells)) != {str}:
            return None
        signs = set("".join(cells))
        if not signs or not signs <= _PLAIN:
            return None
        try:
            values = np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError:
            return None
        # Whole numbers may be codes, keys or dates.
        whole = signs <= _DIGITS and (
            float(np.nanmin(values)) >= 18e6 or any(cell[:1] == "0" != cell for cell in cells)
        )
        return None if whole or date_texts.unix_unit("", values[~np.isnan(values)], certain=True) else values

    def _spec(self, kind: Kind, **fields: Any) -> ColumnSpec:
        return ColumnSpec(
            name=self.name,
            kind=kind,
            missing=tuple(sorted(self.rules.missing)),
            kept=tuple(sorted(self.rules.kept)),
            **fields,
        )

    def _typed(self) -> ColumnSpec:
        """Return the spec of an array of numbers, booleans, dates or spans."""
        sort = self.cells.dtype.kind
        if sort == "M":
            return self._spec(self.asked or "date")
        if sort == "m":
            self.remarks.append(Remark("spans of time, read as seconds", self.name))
            return self._spec(self.asked or "number")
        if sort == "b":
            return self._spec(self.asked or "category")
        known = self.cells[~np.isnan(self.cells)] if sort == "f" else self.cells
        return self._of_numbers(known, whole=sort in "iu")

    def _of_numbers(self, known: NDArray[Any], *, whole: bool) -> ColumnSpec:
        values = known.astype(np.float64)
        if self.asked in (None, "date"):
            unit = date_texts.unix_unit(self.name, values, certain=self.asked == "date")
            if unit:
                return self._spec("date", unit=unit)
            self.remarks += column_remarks.possible_times(self.name, values)
        compact = (
            [as_text(item) for item in dict.fromkeys(known.tolist())] if len(values) and (values >= 18e6).all() else []
        )
        if self.asked in (None, "date") and date_texts.are_compact(compact, 1 if self.asked else _SEVERAL):
            return self._spec("date", date_format="%Y%m%d")
        if self.asked is None and whole and len(values) and float(values.min()) >= 10 ** (_KEY_DIGITS - 1):
            return self._as_key()
        return self._spec(self.asked or "number", **({"date_format": "%Y"} if self.asked == "date" else {}))

    def _as_key(self) -> ColumnSpec:
        self.remarks.append(Remark("whole numbers of 16 digits or more, kept as text", self.name))
        return self._spec("category")

    def _of_objects(self) -> ColumnSpec:
        items = as_objects(self.cells)
        types = {type(item) for item in items if not (is_empty(item) if not isinstance(item, str) else False)}
        if odd := [one for one in types if not issubclass(one, _ALLOWED)]:
            kind = odd[0].__name__
            raise RequestError(
                f"column {clip(self.name)!r} holds {kind} objects: only numbers, text and dates can be used"
            )
        for row, item in enumerate(items):
            if isinstance(item, str):
                self.rows.setdefault(item.strip(), []).append(row)
            elif str in types and not is_empty(item):
                self.rows.setdefault(as_text(item), []).append(row)
        if types and str not in types:
            return self._of_one_type(types, [item for item in items if not is_empty(item)])
        return self._of_text(typed=len(types) > 1)

    def _of_one_type(self, types: set[type], known: Sequence[Any]) -> ColumnSpec:
        if all(issubclass(one, bool | np.bool_) for one in types):
            return self._spec(self.asked or "category")
        if all(issubclass(one, _NUMBERS) and one is not bool for one in types):
            whole = all(isinstance(item, int | np.integer) for item in known)
            return self._of_numbers(np.array(list(map(_float, known))), whole=whole)
        if all(issubclass(one, datetime.date) for one in types):
            return self._spec(self.asked or "date")
        if all(issubclass(one, datetime.time) for one in types):
            return self._spec(self.asked or "time")
        if all(issubclass(one, datetime.timedelta) for one in types):
            self.remarks.append(Remark("spans of time, read as seconds", self.name))
            return self._spec(self.asked or "number")
        return self._spec(self.asked or "category")

    def _of_text(self, *, typed: bool) -> ColumnSpec:
        """Return the spec of a column of texts, some of which may have been typed cells."""
        strict = [text for text in self.rows if not self._missing(text, among_numbers=False)]
        core = [text for text in strict if not self._missing(text, among_numbers=True)]
        if self.asked == "category":
            return self._category(strict)
        if not core and (self.asked or len(strict) < 2):
            return self._spec(
                self.asked or "number", **({"date_format": date_texts.ISO} if self.asked == "date" else {})
            )
        if self.asked is not None:
            return self._as_asked(core)
        if core and (self.rules.numbers_in_text or typed):
            spec = self._number(core)
            if spec is not None:
                return spec
        if core and all(date_texts.time_of_day(text) is not None for text in core):
            return self._spec("time")
        if core and (date := date_texts.recognise_dates(core, self.rules.day_first)):
            return self._date(date)
        if core and (self.rules.numbers_in_text or typed):
            odd_cells.refuse_odd(self.name, core, self.rows, len(self.cells))
        elif core and number_texts.recognise(core) and not _codes(core):
            self.remarks.append(
                Remark(
                    "text that reads as numbers, kept as text; --column NAME=number reads it", self.name, repr(core[0])
                )
            )
        odd_cells.refuse_total(self.name, strict, self.rows, len(self.cells))
        return self._category(strict)

    def _missing(self, text: str, *, among_numbers: bool) -> bool:
        return is_missing(text, among_numbers=among_numbers, further=self.rules.missing, kept=self.rules.kept)

    def _as_asked(self, core: Sequence[str]) -> ColumnSpec:
        if self.asked == "number":
            return self._written(self._format(core) or odd_cells.commonest(core, self.rows))
        if self.asked == "time":
            return self._spec("time")
        if date := date_texts.recognise_dates(core, self.rules.day_first):
            return self._date(date)
        if all(text.isdecimal() and text.isascii() for text in core):
            return self._of_numbers(np.array([float(text) for text in core]), whole=True)
        return self._date(date_texts.DateFormat(date_texts.MIXED, bool(self.rules.day_first)))

    def _number(self, core: Sequence[str]) -> ColumnSpec | None:
        if all(text.isdecimal() and text.isascii() for text in core):
            if _codes(core):
                zero = next(text for text in core if len(text) > 1 and text[0] == "0")
                what = "kept as text, because a cell begins with 0; --column NAME=number reads numbers"
                self.remarks.append(Remark(what, self.name, repr(clip(zero, _INTERESTING))))
                return self._spec("category")
            if min(map(len, core)) >= _KEY_DIGITS and not date_texts.unix_unit(self.name, _floats(core)):
                return self._as_key()
            if date_texts.are_compact(core):
                return self._spec("date", date_format="%Y%m%d")
        form = self._format(core)
        if form is None:
            return None
        if form == NumberFormat() and (unit := date_texts.unix_unit(self.name, _floats(core))):
            return self._spec("date", unit=unit)
        if form == NumberFormat():
            self.remarks += column_remarks.possible_times(self.name, _floats(core))
        return self._written(form)

    def _format(self, core: Sequence[str]) -> NumberFormat | None:
        return number_texts.recognise(core, self.rules.decimal, self.rules.likely_decimal)

    def _written(self, form: NumberFormat) -> ColumnSpec:
        return self._spec(
            "number",
            decimal=form.decimal,
            thousands=form.thousands,
            currency=form.currency,
            percent=form.percent,
        )

    def _date(self, date: date_texts.DateFormat) -> ColumnSpec:
        if date.either:
            read, other = ("day", "month") if date.day_first else ("month", "day")
            what = f"dates that could begin with day or month, read with the {read} first; --data dates={other}-first"
            self.remarks.append(Remark(what, self.name))
        return self._spec("date", date_format=date.format, day_first=date.day_first)

    def _category(self, texts: Sequence[str]) -> ColumnSpec:
        spellings = spellings_of({text: len(self.rows[text]) for text in texts})
        values = set(spellings.values())
        if len(texts) > len(values) > 0:
            shown = ", ".join(f"{text!r}" for text in texts[:6])
            self.remarks.append(Remark("spellings of the same two values", self.name, shown))
        return self._spec("category", spellings=spellings)


_DIGITS = frozenset("0123456789")
_PLAIN = _DIGITS | frozenset("+-.eE")
_NUMBERS = (int, float, Decimal, np.number)
_ALLOWED = (str, bool, np.bool_, *_NUMBERS, datetime.date, datetime.time, datetime.timedelta)


def _float(item: Any) -> float:
    try:
        return float(item)
    except OverflowError:
        return np.inf


def _floats(texts: Sequence[str]) -> NDArray[np.float64]:
    plain = NumberFormat()
    return np.array([plain.parse(text) for text in texts], dtype=np.float64)


def _codes(texts: Sequence[str]) -> bool:
    """Return whether texts are whole numbers of which one begins with a 0 that a number would lose."""
    return all(text.isdecimal() for text in texts) and any(len(text) > 1 and text[0] == "0" for text in texts)
