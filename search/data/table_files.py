"""Tables in .csv and .parquet files, read as columns of numbers or text by pandas, which only `read` imports.

A .csv file is text in UTF-8 whose first line names the columns, separated by commas. Empty cells are missing, and so
are those that pandas takes for missing: NA, NaN, N/A, null, None ... A column holds numbers if all other cells are
numbers. The words true and false are text. Dates are refused.
"""

from __future__ import annotations

import csv
import datetime
import importlib
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.data.encoders import Column
from search.data.targets import as_float64
from search.errors import EnvironmentFault, RequestError, clip, listed, nearest

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")

_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d\d?[/.]\d\d?[/.](\d{4}|\d\d)( .*)?|\d{4}/\d\d?/\d\d?( .*)?")

_COMMA = re.compile(r"[+-]?(\d+,\d+|\d{1,3}(,\d{3})+(\.\d*)?)")


def read(path: Path, drop: Sequence[str] = ()) -> dict[str, Column]:
    """Read the columns of a table, by name and in order, without those to drop.

    Raises:
        EnvironmentFault: the file is damaged, or pandas or pyarrow cannot be imported.
        RequestError: the file is whole, but it is not a table as above.
    """
    try:
        frame = _csv(path) if path.suffix.lower() == ".csv" else _parquet(path)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path.name}: {error.strerror or _line(error)}") from None
    except MemoryError:
        raise EnvironmentFault(f"{path.name} does not fit into memory") from None
    if not len(frame):
        raise RequestError(f"{path.name} has no rows")
    from_text = path.suffix.lower() == ".csv"
    names = list(map(str, frame.columns))
    for name in drop:
        if name not in names:
            raise no_column(path.name, name, names)
    # Columns are taken by their place, because a name may be a number.
    return {
        name: _column(frame.iloc[:, number], f"{path.name}: column {clip(name)!r}", name, from_text=from_text)
        for number, name in enumerate(names)
        if name not in drop
    }


def no_column(place: str, name: str, names: Sequence[str]) -> RequestError:
    """Return the error for a missing column, with the nearest one that exists and the first few."""
    return RequestError(f"{place} has no column {clip(name)!r}{nearest(name, names)} (it has: {listed(names)})")


def cells(path: Path) -> pd.DataFrame:
    """Return the cells of a table as they are written: text in a .csv, typed values in a .parquet.

    Raises:
        EnvironmentFault: the file is damaged, or pandas or pyarrow cannot be imported.
        RequestError: the file is whole, but it is not a table.
    """
    try:
        if path.suffix.lower() == ".csv":
            return _csv(path, dtype=str, keep_default_na=False)
        return _parquet(path)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path.name}: {error.strerror or _line(error)}") from None


def _csv(path: Path, **options: Any) -> pd.DataFrame:
    names, rows = _scan_csv(path)
    pandas = _pandas(path)
    # pandas 3.1 made this the default and deprecated the option.
    version = tuple(map(int, pandas.__version__.split(".")[:2]))
    exact = {} if version >= (3, 1) else {"float_precision": "round_trip"}
    try:
        frame: pd.DataFrame = pandas.read_csv(
            path,
            names=names,
            header=0,
            index_col=False,
            skipinitialspace=True,
            low_memory=False,
            encoding="utf-8-sig",
            **exact,
            **options,
        )
    except (ValueError, OverflowError) as error:
        raise EnvironmentFault(f"cannot read {path.name}: {_line(error)}") from None
    if len(frame) != rows:
        raise EnvironmentFault(f"{path.name} is damaged: it has {rows} rows, but pandas reads {len(frame)}")
    return frame


def _scan_csv(path: Path) -> tuple[list[str], int]:
    """Return the names of the columns and the number of rows. Short rows are refused, which pandas would fill."""
    rows, begun = 0, 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, strict=True, skipinitialspace=True)
            names = next((line for line in lines if not _blank(line)), [])
            _validate_names(path, names)
            begun = lines.line_num + 1
            for line in lines:
                if not _blank(line):
                    rows += 1
                    if len(line) != len(names):
                        cells = "1 cell" if len(line) == 1 else f"{len(line)} cells"
                        raise EnvironmentFault(
                            f"{path.name}: line {begun} has {cells}, the first line names {len(names)} columns"
                        )
                begun = lines.line_num + 1
    except UnicodeDecodeError:
        raise EnvironmentFault(f"{path.name} is not text in UTF-8: save it in that encoding") from None
    except csv.Error as error:
        raise EnvironmentFault(f"cannot read {path.name}: line {begun}: {_line(error)}") from None
    return names, rows


def place(path: Path, row: int) -> str:
    """Return the place of a row, counted from 0: ``row 3``, or for a .csv the line of the file where it begins."""
    if path.suffix.lower() != ".csv":
        return f"row {row + 1}"
    begun, at = 1, -1  # the line of names is row -1
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True, skipinitialspace=True)
        for line in lines:
            if not _blank(line):
                if at == row:
                    break
                at += 1
            begun = lines.line_num + 1
    return f"line {begun}"


def _blank(line: Sequence[str]) -> bool:
    return not line or (len(line) == 1 and not line[0].strip())


def _validate_names(path: Path, names: Sequence[str]) -> None:
    if not names:
        raise RequestError(f"{path.name} is empty: its first line must name the columns")
    if len(names) == 1:
        other = next((sign for sign in ";\t|" if sign in names[0]), None)
        hint = f"; separate columns by ',', not by {other!r}" if other else ""
        raise RequestError(f"{path.name} has one column: it needs a target and a column to learn from{hint}")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise RequestError(f"{path.name} has {count} columns called {clip(name)!r}")


def _parquet(path: Path) -> pd.DataFrame:
    pandas = _pandas(path)
    try:
        arrow = importlib.import_module("pyarrow.parquet")
        with path.open("rb") as file:
            # pandas words the error for two columns of the same name differently.
            _validate_names(path, list(arrow.ParquetFile(file).schema_arrow.names))
            file.seek(0)
            frame: pd.DataFrame = pandas.read_parquet(file, engine="pyarrow")
    except RequestError:
        raise
    except ImportError as error:
        raise EnvironmentFault(f"{path.name} needs pyarrow, which cannot be imported ({_line(error)})") from None
    # Arrow raises ValueError, KeyError, NotImplementedError and plain Exception besides OSError.
    except Exception as error:
        raise EnvironmentFault(f"{path.name} is not a complete parquet file: {clip(_line(error), 200)}") from None
    _validate_names(path, list(map(str, frame.columns)))
    return frame


def _pandas(path: Path) -> Any:
    try:
        import pandas
    except ImportError as error:
        raise EnvironmentFault(f"{path.name} needs pandas, which cannot be imported ({_line(error)})") from error
    return pandas


def _column(series: pd.Series[Any], shown: str, name: str, *, from_text: bool) -> Column:
    import pandas as pd

    kind = series.dtype
    if pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) and kind.kind != "c":
        if series.notna().all():
            return as_float64(series.to_numpy(), shown)
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if pd.api.types.is_datetime64_any_dtype(kind) or kind.kind in "mM" or isinstance(kind, pd.PeriodDtype):
        raise _dates(shown, name, series.dropna().iloc[0] if series.notna().any() else "")
    known = series.notna().to_numpy()
    cells: list[Any] = series[known].to_list()
    column: Column
    if all(isinstance(cell, int | float | Decimal) and not isinstance(cell, bool) for cell in cells) and cells:
        numbers: list[float] | None = [_number(cell) for cell in cells]
    else:
        for cell in cells:
            if isinstance(cell, datetime.date | datetime.time | datetime.timedelta):
                raise _dates(shown, name, cell)
            if not isinstance(cell, str | bool | int | float | Decimal):
                raise RequestError(f"{shown} holds {type(cell).__name__} objects: only numbers and text can be used")
        # pandas leaves some numbers as text, such as whole ones beyond 64 bits among others.
        numbers = _all_numbers(cells) if from_text else None
    if numbers is not None:
        column = np.full(len(series), np.nan)
        column[known] = numbers
        return column
    column = np.full(len(series), None, dtype=object)
    column[known] = [str(cell) for cell in cells]
    if cells and all(isinstance(cell, str) and _DATE.fullmatch(cell) for cell in cells):
        raise _dates(shown, name, cells[0])
    if cells and all(isinstance(cell, str) and _COMMA.fullmatch(cell) for cell in cells):
        raise RequestError(
            f"{shown} holds numbers with commas ({clip(cells[0], 40)}): write a point before decimals and nothing"
            f" between thousands, or leave it out with --data drop={clip(name)}"
        )
    return column


def _all_numbers(cells: Sequence[Any]) -> list[float] | None:
    try:
        return [float(str(cell).replace("_", "?")) for cell in cells] or None
    except ValueError:
        return None


def _number(cell: int | float | Decimal) -> float:
    try:
        return float(cell)
    except OverflowError:
        return np.inf


def _dates(shown: str, name: str, example: object) -> RequestError:
    return RequestError(
        f"{shown} holds dates or times ({clip(str(example), 40)}): turn them into numbers, such as a year or an age,"
        f" or leave it out with --data drop={clip(name)}"
    )


def _line(error: BaseException) -> str:
    return clip(" ".join(str(error).split()) or type(error).__name__, 200)
