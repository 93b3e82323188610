"""Tables in files: text (.csv, .tsv, .txt, also with .gz), .parquet, .feather and .xlsx.

text_files | sheets  --Sheet-->  names  --cells-->  table.build  -->  Table
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.data import headers, number_texts, sheets, text_files
from search.data.column_kinds import Rules, parse
from search.data.sheets import Sheet
from search.data.table import Asked, Table, build, no_column
from search.data.targets import BadRow
from search.errors import EnvironmentFault, RequestError, clip, listed, unknown

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["OPTIONS", "SUFFIXES", "Table", "cells", "cells_with_places", "no_column", "read", "suffix"]

_TEXT = (".csv", ".tsv", ".txt")
SUFFIXES = (*_TEXT, *(f"{one}.gz" for one in _TEXT), ".parquet", ".feather", ".xlsx")
"""The suffixes of tables."""
SHOWN = ".csv, .tsv, .xlsx, .parquet, .feather"
"""The commonest suffixes of tables, for messages."""
OPTIONS: Mapping[str, str] = {
    "drop": "columns to leave out",
    "missing": "further words that are missing",
    "keep": "words such as NA that are values",
    "dates": "drop, day-first or month-first",
    "decimal": "the sign before decimals, . or ,",
    "header": "no if the first line is data",
    "separator": "the sign between columns",
    "encoding": "the encoding of a text file",
    "sheet": "the sheet of a spreadsheet",
}
"""The options of a table, and what each says."""
READING = ("separator", "encoding", "sheet", "header")
"""Those options that say how the file is read, not its columns."""
_DATES = ("drop", "day-first", "month-first")


def suffix(path: Path) -> str:
    """Return the suffix of a table in small letters, ``.csv.gz`` included, or of any other path."""
    name = path.name.lower()
    return next((one for one in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(one)), path.suffix.lower())


def read(path: Path, options: Mapping[str, Any] | None = None, columns: Mapping[str, str] | None = None) -> Table:
    """Read a table.

    Args:
        path: the path of the file.
        options: those of `OPTIONS`.
        columns: the kind of some columns, by name: number, category, date, time or drop.

    Raises:
        EnvironmentFault: the file is damaged, or a library that reads it is missing.
        RequestError: the file is whole, but it is not a table, or an option is wrong.
    """
    options = options or {}
    request = asked(options, columns or {})
    header = _yes_or_no(options.get("header"))
    sheet = _sheet(path, options)
    if header is False:
        sheet = _without_names(sheet)
    elif header is None and sheet.guess_names:
        note = headers.refuse_data(path.name, sheet.names, sheet.columns)
        sheet = dataclasses.replace(sheet, notes=(*sheet.notes, note) if note else sheet.notes)
    if not sheet.columns or not len(sheet.columns[0]):
        raise RequestError(f"{path.name} has no rows")
    return of_sheet(path.name, sheet, request)


def of_sheet(place: str, sheet: Sheet, request: Asked) -> Table:
    """Read the columns of a sheet."""
    names, kept, notes = _named(sheet)
    rules = dataclasses.replace(request.rules, likely_decimal=sheet.likely_decimal, numbers_in_text=not sheet.typed)
    return build(
        place,
        {name: sheet.columns[number] for name, number in zip(names, kept, strict=True)},
        dataclasses.replace(request, rules=rules),
        sheet.place_of_row,
        [f"{place}: {note}" for note in (*sheet.notes, *notes)],
        typed={name: sheet.kinds[number] for name, number in zip(names, kept, strict=True) if number in sheet.kinds},
        also_known=[*(str(name).strip() for name in sheet.names), *headers.clean(list(map(str, sheet.names))).names],
    )


def read_alike(path: Path, like: Table, options: Mapping[str, Any]) -> Table:
    """Read another table by the specs of one that has been read.

    Raises:
        EnvironmentFault, RequestError: as for `read`, or the table lacks a column, has another, or has a cell that is
            not of its column's kind.
    """
    return alike(path.name, *cells_with_places(path, options), like)


def alike(place: str, frame: pd.DataFrame, place_of_row: Callable[[int], str], like: Table) -> Table:
    """Read the raw cells of another table by the specs of one that has been read.

    Args:
        place: the name of the table in notes and errors.
        frame: its cells.
        place_of_row: the words for a row, counted from 0.
        like: the table that has been read.

    Raises:
        RequestError: as for `read_alike`.
    """
    names = list(frame.columns)
    missing = [name for name in like.columns if name not in names]
    others = [name for name in names if name not in like.columns and name not in like.unread]
    if missing or others:
        faults = [f"it has no {listed(missing)}"] * bool(missing) + [f"it has also {listed(others)}"] * bool(others)
        raise RequestError(f"{place} must have the columns of {like.place}: {'; '.join(faults)}")
    if not len(frame):
        raise RequestError(f"{place} has no rows")
    columns = {}
    for name, spec in like.specs.items():
        try:
            columns[name] = parse(spec, frame[name].to_numpy())
        except BadRow as bad:
            raise RequestError(f"{place}: {bad.at(place_of_row(bad.row))}") from None
        if spec.kind == "category" and _are_other_numbers(columns[name], like.columns[name]):
            raise RequestError(
                f"{place}: column {clip(name)!r} holds numbers, but text in {like.place}: write it the same way in"
                f" both, or leave it out with --data drop={clip(name)}"
            )
    return dataclasses.replace(like, place=place, columns=columns, notes=(), place_of_row=place_of_row)


def _are_other_numbers(column: NDArray[Any], known: NDArray[Any]) -> bool:
    """Return whether categories are all numbers, and none of them is a known one."""
    values = set(column) - {None}
    return bool(values) and not values & set(known) and all(map(number_texts.looks_like_number, values))


def cells(path: Path, options: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Return the raw cells of a table, as texts or as the file types them, for `column_spec.parse`.

    The first line names the columns, unless the option header=no says that there are no names.

    Args:
        path: the path of the file.
        options: separator, encoding, sheet and header of `OPTIONS`; others are for `read`.

    Raises:
        EnvironmentFault, RequestError: as for `read`.
    """
    return cells_with_places(path, options or {})[0]


def cells_with_places(path: Path, options: Mapping[str, Any]) -> tuple[pd.DataFrame, Callable[[int], str]]:
    """Return the same cells, and the function that words the place of a row, counted from 0: ``line 3``."""
    import pandas as pd

    sheet = _sheet(path, options)
    if _yes_or_no(options.get("header")) is False:
        sheet = _without_names(sheet)
    names = headers.clean(list(map(str, sheet.names))).names
    frame = pd.DataFrame({name: pd.Series(column) for name, column in zip(names, sheet.columns, strict=True)})
    return frame, sheet.place_of_row


def _sheet(path: Path, options: Mapping[str, Any]) -> Sheet:
    word = {
        name: None if options.get(name) is None else str(options[name]) for name in ("separator", "encoding", "sheet")
    }
    try:
        if suffix(path) in (".parquet", ".feather"):
            return sheets.read_columns(path)
        if suffix(path) == ".xlsx":
            return sheets.read_spreadsheet(path, word["sheet"])
        return text_files.read(path, word["separator"], word["encoding"])
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path.name}: {error.strerror or clip(str(error), 200)}") from None
    except MemoryError:
        raise EnvironmentFault(f"{path.name} does not fit into memory") from None


def _without_names(sheet: Sheet) -> Sheet:
    """Return a sheet whose first line is a row, and whose columns are called 1, 2, 3 ..."""
    columns = []
    for first, rest in zip(sheet.names, sheet.columns, strict=True):
        column = np.empty(len(rest) + 1, dtype=object)
        column[0], column[1:] = first, rest
        columns.append(column)
    return dataclasses.replace(
        sheet,
        names=headers.numbered(len(columns)).names,
        columns=columns,
        place_of_row=lambda row: sheet.place_of_row(row - 1),
        guess_names=False,
    )


def _named(sheet: Sheet) -> tuple[list[str], list[int], list[str]]:
    """Return the names and numbers of the columns to read, and notes on names and on columns that are left out."""
    written = [str(name).strip() for name in sheet.names]
    unnamed = [number for number, name in enumerate(written) if not name]
    empty = [number for number in unnamed if headers.nothing_in(sheet.columns[number])]
    # pandas calls the index of a frame so when it reads what it has written.
    first = [number for number, name in enumerate(written) if number == 0 and name in ("", "Unnamed: 0")]
    index = [number for number in first if number not in empty and headers.counts_rows(sheet.columns[number])]
    kept = [number for number in range(len(written)) if number not in (*empty, *index)]
    names = headers.clean(written)
    notes = headers.describe_dropped(empty, index)
    if any(names.names[number] != written[number] for number in kept):
        notes.append(names.renamed)
    return [names.names[number] for number in kept], kept, notes


def asked(options: Mapping[str, Any], columns: Mapping[str, str]) -> Asked:
    """Return what options (see `OPTIONS`) and the kinds of columns say; raise RequestError if one is wrong."""
    dates = options.get("dates")
    if dates is not None and dates not in _DATES:
        raise unknown("value of --data dates", clip(str(dates)), _DATES)
    decimal = options.get("decimal", "")
    # The words of a command are split at commas, so that a comma arrives as two empty words.
    decimal = "," if decimal in (["", ""], "comma") else "." if decimal == "point" else decimal
    if decimal not in ("", ".", ","):
        raise RequestError(f"--data decimal must be point or comma, got {clip(str(decimal))!r}")
    rules = Rules(
        decimal=decimal,
        day_first=None if dates in (None, "drop") else dates == "day-first",
        missing=frozenset(words(options.get("missing"))),
        kept=frozenset(words(options.get("keep"))),
    )
    return Asked(columns, words(options.get("drop")), rules, without_dates=dates == "drop")


def words(value: object) -> list[str]:
    """Return one word or a list of them, some of which may look like numbers, as texts."""
    if value is None:
        return []
    return [str(name) for name in value] if isinstance(value, Sequence) and not isinstance(value, str) else [str(value)]


def _yes_or_no(value: object) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if value in ("yes", "no"):
        return value == "yes"
    raise RequestError(f"--data header must be yes or no, got {clip(str(value))!r}")
