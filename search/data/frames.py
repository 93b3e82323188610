"""Tables that are pandas DataFrames in memory. The types of their columns are kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from search.data import sheets, table_files
from search.data.table import Table
from search.errors import RequestError

if TYPE_CHECKING:
    import pandas as pd


def read(
    frame: pd.DataFrame,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
    *,
    place: str = "data frame",
) -> Table:
    """Read the columns of a frame. Its index is no column.

    Numbers, booleans, dates and pandas' categories are what their types say. Objects are recognised by their values.
    Text that reads as dates is dates; text that reads as numbers stays text, with a note.

    Args:
        frame: the table.
        options: drop, missing, keep and dates, as of `table_files.OPTIONS`.
        columns: the kind of some columns, by name.
        place: the name of the table in notes and errors.

    Raises:
        RequestError: the frame has no rows or columns, or a column cannot be used.
    """
    if not len(frame) or not len(frame.columns):
        raise RequestError(f"{place} has no {'rows' if len(frame.columns) else 'columns'}")
    return table_files.of_sheet(place, sheets.of_frame(frame, place), table_files.asked(options or {}, columns or {}))
