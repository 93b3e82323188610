"""The raw cells of a table, before names and kinds are looked at; and those of spreadsheets and column stores."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.column_spec import Kind
from search.errors import EnvironmentFault, RequestError, clip, listed, unknown


@dataclass(frozen=True, eq=False)
class Sheet:
    """The raw cells of a table.

    Attributes:
        names: the cells of the first line, which names the columns.
        columns: the cells below it, ``(rows,)`` for each column.
        place_of_row: the words for a row, counted from 0; -1 is the line of the names.
        notes: what is to be said about the file.
        likely_decimal: the sign before decimals where ``1,500`` may be either.
        typed: whether text was typed as text, so that it is no number.
        kinds: the kind of columns whose type says more than their cells, by number.
        guess_names: whether the names may be data, or missing.
    """

    names: Sequence[Any]
    columns: Sequence[NDArray[Any]]
    place_of_row: Callable[[int], str]
    notes: tuple[str, ...] = ()
    likely_decimal: str = ""
    typed: bool = False
    kinds: Mapping[int, Kind] = field(default_factory=dict)
    guess_names: bool = True


def of_frame(frame: Any, place: str, place_of_row: Callable[[int], str] | None = None) -> Sheet:
    """Return the cells of a pandas DataFrame, with the types of its columns. Its index is no column."""
    names = list(map(str, frame.columns))
    columns = [
        _of_series(frame.iloc[:, number], f"{place}: column {clip(names[number])!r}") for number in range(len(names))
    ]
    kinds: dict[int, Kind] = {number: "category" for number, kind in enumerate(frame.dtypes) if kind.name == "category"}
    return Sheet(names, columns, place_of_row or _row, typed=True, kinds=kinds, guess_names=False)


def _row(row: int) -> str:
    return f"row {row + 1}"


def _of_series(series: Any, shown: str) -> NDArray[Any]:
    import pandas as pd

    kind = series.dtype
    if isinstance(kind, pd.PeriodDtype):
        return np.asarray(series.dt.to_timestamp().to_numpy())
    if isinstance(kind, pd.DatetimeTZDtype):
        return np.asarray(series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    if pd.api.types.is_datetime64_any_dtype(kind) or kind.kind == "m":
        return np.asarray(series.to_numpy())
    if pd.api.types.is_complex_dtype(kind):
        raise RequestError(f"{shown} holds complex numbers: only numbers, text and dates can be used")
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind):
        if series.notna().all():
            return np.asarray(series.to_numpy(dtype=None if isinstance(kind, np.dtype) else kind.numpy_dtype))
        return np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind == np.dtype(bool):
        return np.asarray(series.to_numpy())
    return np.asarray(series.astype(object).to_numpy())


def read_columns(path: Path) -> Sheet:
    """Read a .parquet or .feather file.

    Raises:
        EnvironmentFault: the file is damaged, or pyarrow cannot be imported.
    """
    kind = path.suffix.lower().removeprefix(".")
    try:
        table = importlib.import_module(f"pyarrow.{kind}")
        with path.open("rb") as file:
            # `parquet.read_table` cannot read two columns of one name.
            arrow = table.ParquetFile(file).read() if kind == "parquet" else table.read_table(file)
        # Two columns of one name would be lost on the way to pandas.
        names = list(map(str, arrow.schema.names))
        index = _index_columns(arrow.schema)
        numbered = arrow.rename_columns(list(map(str, range(len(names)))))
        # Whole numbers with missing ones would become floats, which cannot tell large ones apart.
        frame = numbered.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    except OSError as error:
        raise EnvironmentFault(f"{path.name} is not a complete {kind} file: {_line(error)}") from None
    except ImportError as error:
        raise EnvironmentFault(f"{path.name} needs pyarrow, which cannot be imported ({_line(error)})") from None
    # Arrow raises ValueError, KeyError, NotImplementedError and plain Exception besides OSError.
    except Exception as error:
        raise EnvironmentFault(f"{path.name} is not a complete {kind} file: {_line(error)}") from None
    kept = [number for number, name in enumerate(names) if name not in index]
    sheet = of_frame(frame.iloc[:, kept], path.name)
    return replace(sheet, names=[names[number] for number in kept])


def _index_columns(schema: Any) -> set[str]:
    """Return the columns that pandas wrote for the index of a frame."""
    meta = schema.pandas_metadata
    return {name for name in (meta or {}).get("index_columns", ()) if isinstance(name, str)}


def read_spreadsheet(path: Path, sheet: str | None = None) -> Sheet:
    """Read a sheet of an .xlsx file, by default the first. The first row that is not empty names the columns.

    Raises:
        EnvironmentFault: the file is damaged, or openpyxl is not installed.
        RequestError: there is no such sheet, or it is empty.
    """
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        raise EnvironmentFault(
            f"{path.name} needs openpyxl, which is not installed: `pip install openpyxl`, or save the sheet as .csv"
        ) from None
    try:
        # `data_only` takes the results of formulas as they were saved.
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        names = list(book.sheetnames)
        if sheet is not None and sheet not in names:
            raise unknown(f"sheet of {path.name}", sheet, names)
        chosen = sheet or names[0]
        rows = [list(row) for row in book[chosen].iter_rows(values_only=True)]
        book.close()
    except RequestError:
        raise
    # openpyxl raises KeyError, ValueError, BadZipFile, errors of XML and others.
    except Exception as error:
        raise EnvironmentFault(f"{path.name} is not a complete .xlsx file: {_line(error)}") from None
    places = [number for number, row in enumerate(rows) if any(cell is not None and str(cell).strip() for cell in row)]
    if not places:
        raise RequestError(f"{path.name}: sheet {clip(chosen)!r} is empty")
    width = max(len(rows[number]) for number in places)
    filled = [rows[number] + [None] * (width - len(rows[number])) for number in places]
    columns = []
    for number in range(width):
        column = np.empty(len(filled) - 1, dtype=object)
        column[:] = [row[number] for row in filled[1:]]
        columns.append(column)
    notes = []
    if len(names) > 1 and sheet is None:
        notes = [f"read the first sheet, {clip(chosen)!r}; --data sheet=NAME takes another of {listed(names, 6)}"]
    header = ["" if cell is None else cell for cell in filled[0]]
    return Sheet(header, columns, lambda row: f"row {places[row + 1] + 1}", tuple(notes))


def _line(error: BaseException) -> str:
    return clip(" ".join(str(error).split()) or type(error).__name__, 200)
