"""The kinds of a table's columns, and the reading of their cells."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.data.targets import BadRow
from search.errors import clip
from search.storage.fields import Part

Kind = Literal["number", "category", "date", "time"]

_MISSING = {"", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}


class ColumnSpec(Part):
    """How a column's cells are read.

    Attributes:
        name: the name of the column.
        kind: "number", "category" (text, one input for each value), "date" or "time" (of the day).
        decimal: the sign before decimals.
        thousands: the sign between thousands, or "".
        currency: the currency sign of the cells, or "".
        date_format: the format of the dates, as `datetime.strptime` takes it, or "".
        missing: the texts that mean a missing value here, besides the usual ones.
    """

    name: str
    kind: Kind
    decimal: str = "."
    thousands: str = ""
    currency: str = ""
    date_format: str = ""
    missing: tuple[str, ...] = ()


def parse(spec: ColumnSpec, cells: NDArray[Any]) -> NDArray[Any]:
    """Return the values of a column: float64 with NaN, or for a category objects that are str or None.

    Raises:
        BadRow: a cell cannot be read.
    """
    missing = np.array([cell is None or cell != cell or str(cell).strip() in _MISSING for cell in cells], dtype=bool)
    if spec.kind == "category":
        values = np.full(len(cells), None, dtype=object)
        values[~missing] = [str(cell).strip() for cell in cells[~missing]]
        return values
    numbers = np.full(len(cells), np.nan)
    for row in np.flatnonzero(~missing):
        try:
            numbers[row] = float(cells[row])
        except (TypeError, ValueError):
            raise BadRow(
                f"column {clip(spec.name)!r}: {clip(str(cells[row]), 40)!r} is not a number", int(row)
            ) from None
    return numbers
