"""A table whose columns have been read, and `build`, which reads them: the same for files and for frames in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from search.data import identifiers
from search.data.column_kinds import ColumnSpec, Examined, Kind, Remark, Rules, examine
from search.data.targets import BadRow
from search.errors import RequestError, clip, counted, listed, nearest, unknown

DROP = "drop"
KINDS = (*get_args(Kind), DROP)
"""The kinds that somebody may give a column; "drop" leaves it out."""


@dataclass(frozen=True)
class Asked:
    """What a person has said about a table.

    Attributes:
        kinds: the kind of some columns, by name, one of `KINDS`.
        drop: columns to leave out.
        rules: how cells are read.
        without_dates: whether columns of dates are left out.
    """

    kinds: Mapping[str, str] = field(default_factory=dict)
    drop: Sequence[str] = ()
    rules: Rules = field(default_factory=Rules)
    without_dates: bool = False


def row_number(row: int) -> str:
    """Return the words for a row, counted from 0, of a table without lines."""
    return f"row {row + 1}"


@dataclass(frozen=True, eq=False)
class Table:
    """The columns of a table.

    Attributes:
        place: the name of the table in notes and errors.
        specs: how each column was read, by name and in order.
        columns: its values; see `column_spec.parse`.
        notes: what a person should know about how the table was read, a line each.
        left_out: the reason why a column is no input unless somebody asks for it, by its name. It is read all the same,
            because it may be the target, or say which rows belong together.
        missing_words: the words in each column that were taken for missing.
        unread: the names of columns that were not read, because they are empty or somebody has said so.
        place_of_row: the words for a row, counted from 0, such as ``line 3``.
    """

    place: str
    specs: Mapping[str, ColumnSpec]
    columns: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    missing_words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unread: Sequence[str] = ()
    place_of_row: Callable[[int], str] = row_number

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values())))

    def inputs(self, taken: Sequence[str] = ()) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
        """Return the columns to learn from, and notes on those that are left out.

        Args:
            taken: columns that are something else, such as the target.
        """
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left_out.items():
            if name not in taken:
                reasons.setdefault(reason, []).append(name)
        columns = {name: column for name, column in self.columns.items() if name not in (*taken, *self.left_out)}
        notes = (f"{self.place}: left out, {reason}: {listed(names)}" for reason, names in reasons.items())
        return columns, tuple(notes)

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table with only the rows of these numbers."""
        return replace(
            self,
            columns={name: column[rows] for name, column in self.columns.items()},
            place_of_row=lambda row: self.place_of_row(int(rows[row])),
        )

    def with_known(self, names: Sequence[str], shown: str, missing: object = None) -> tuple[Table, tuple[str, ...]]:
        """Return the table without the rows in which one of these columns has no value, and a note on them.

        Args:
            names: the target columns.
            shown: the words for them in an error.
            missing: "drop" to leave such rows out; None to refuse them.

        Raises:
            RequestError: there are such rows and `missing` is None, or a column holds dates or times.
        """
        if missing not in (None, DROP):
            raise RequestError(f"--data missing_target must be drop, got {clip(str(missing))!r}")
        lost = np.zeros(self.rows, dtype=bool)
        for name in names:
            kind, column = self.specs[name].kind, self.columns[name]
            if kind in ("date", "time"):
                raise RequestError(f"{shown} holds {kind}s: only numbers and classes can be predicted")
            lost |= np.array([value is None for value in column]) if column.dtype == object else np.isnan(column)
        if not lost.any():
            return self, ()
        kept = np.flatnonzero(~lost)
        rows = counted(int(lost.sum()), "row")
        if missing == DROP and len(kept):
            return self.take(kept), (f"{self.place}: left out, {rows} without a target",)
        if missing == DROP:
            raise RequestError(f"{shown} is missing in all {rows}: no row is left to learn from")
        words = [word for name in names for word in self.missing_words.get(name, ())]
        keeps = f"; --data keep={words[0]} makes {words[0]!r} a value" if words else ""
        first = self.place_of_row(int(np.flatnonzero(lost)[0]))
        raise RequestError(
            f"{shown} is missing in {first} ({rows} in all): --data missing_target=drop leaves such rows out{keeps}"
        )


def no_column(place: str, name: str, names: Sequence[str]) -> RequestError:
    """Return the error for a missing column, with the nearest one that exists and the first few."""
    return RequestError(f"{place} has no column {clip(name)!r}{nearest(name, names)} (it has: {listed(names)})")


def build(
    place: str,
    cells: Mapping[str, NDArray[Any]],
    asked: Asked,
    place_of_row: Callable[[int], str],
    notes: Sequence[str] = (),
    *,
    typed: Mapping[str, Kind] | None = None,
    also_known: Sequence[str] = (),
) -> Table:
    """Read the columns of a table.

    Args:
        place: the name of the table in notes and errors.
        cells: the raw cells of each column, by name and in order.
        asked: what a person has said about it.
        place_of_row: the words for a row, counted from 0.
        notes: what is to be said about the table before its columns.
        typed: the kind of columns whose type says more than their cells.
        also_known: names that may be left out although the table has lost them on the way here.

    Raises:
        RequestError: a column does not exist, or cannot be read as asked.
    """
    names = list(cells)
    for name in (*asked.drop, *asked.kinds):
        if name not in names and not (name in also_known and name in asked.drop):
            raise no_column(place, name, names)
    for name, kind in asked.kinds.items():
        if kind not in KINDS:
            raise unknown(f"kind of column {clip(name)!r}", clip(str(kind)), KINDS)
    kept = [name for name in names if name not in asked.drop and asked.kinds.get(name) != DROP]

    def examined(name: str, rules: Rules) -> Examined:
        try:
            return examine(name, cells[name], kind=_kind(asked.kinds.get(name)) or (typed or {}).get(name), rules=rules)
        except BadRow as bad:
            raise RequestError(f"{place}: {bad.at(place_of_row(bad.row))}") from None
        except RequestError as error:
            raise RequestError(f"{place}: {error}") from None

    found = {name: examined(name, asked.rules) for name in kept}
    if not asked.rules.decimal and any(_certain_comma(column.spec) for column in found.values()):
        # Who writes decimal commas in one column does so in the others, where 1.500 and 1,500 may be either.
        rules = replace(asked.rules, decimal=",")
        found |= {name: examined(name, rules) for name, one in found.items() if one.spec.kind == "number"}
    left_out = {}
    for name, one in found.items():
        reason = _dates(one, asked) if name not in asked.kinds else ""
        reason = reason or ("" if name in asked.kinds else identifiers.why_left_out(name, one.spec, one.values))
        if reason:
            left_out[name] = reason
    remarks = (remark for one in found.values() for remark in one.remarks)
    return Table(
        place,
        {name: one.spec for name, one in found.items()},
        {name: one.values for name, one in found.items()},
        (*notes, *said(place, remarks, place_of_row)),
        left_out,
        {name: one.missing_words for name, one in found.items()},
        [name for name in (*names, *also_known) if name not in kept],
        place_of_row,
    )


def said(place: str, remarks: Iterator[Remark], place_of_row: Callable[[int], str]) -> list[str]:
    """Return a note for each kind of remark, with the columns and an example of each."""
    groups: dict[str, list[str]] = {}
    for remark in remarks:
        where = "" if remark.row is None else f" in {place_of_row(remark.row)}"
        example = f" ({remark.example}{where})" if remark.example else ""
        groups.setdefault(remark.what, []).append(f"{clip(remark.name, 40)}{example}")
    return [f"{place}: {what}: {_shown(columns)}" for what, columns in groups.items()]


def _shown(columns: Sequence[str], most: int = 6) -> str:
    more = f" and {len(columns) - most:,} more" if len(columns) > most else ""
    return ", ".join(one if one.isprintable() else repr(one) for one in columns[:most]) + more


def _kind(word: str | None) -> Kind | None:
    return next((kind for kind in get_args(Kind) if kind == word), None)


def _dates(column: Examined, asked: Asked) -> str:
    return "dates, as --data dates=drop asks" if column.spec.kind == "date" and asked.without_dates else ""


def _certain_comma(spec: ColumnSpec) -> bool:
    return spec.kind == "number" and spec.decimal == ","
