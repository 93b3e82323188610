"""Which columns name their row instead of describing it, so that a network would learn the rows by heart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data.column_spec import ColumnSpec

# A column of text that has fewer different values is small enough for an input each.
_FEW = 20
_NEARLY_ALL = 0.5
_KEY = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|rowid|index|unnamed: \d+)$|^(key|no|nr|rownum|row number|#)$")
_KEEP = "--column NAME=category keeps it"


def why_left_out(name: str, spec: ColumnSpec, values: NDArray[Any]) -> str:
    """Return why a column should be no input, or "" if it may be one.

    Left out are: text that differs in every row, or has more than 20 values and more than half as many as rows; and
    whole numbers that all differ in a column that is called like a key.

    Args:
        name: the name of the column.
        spec: how it was read.
        values: all its values, ``(rows,)``.
    """
    if spec.kind == "category":
        known = [value for value in values if value is not None]
        different = len(set(known))
        if different == len(known) > 1:
            return f"text that is different in every row ({_KEEP})"
        if different > _FEW and different > _NEARLY_ALL * len(known):
            return f"text nearly all of whose values are different ({_KEEP})"
    if spec.kind == "number" and _KEY.search(re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower().strip()):
        whole = bool(np.isfinite(values).all() and (values == np.round(values)).all())
        if whole and len(values) > 1 and len(np.unique(values)) == len(values):
            return "numbers that name the rows (--column NAME=number keeps them)"
    return ""


def counts_rows(values: NDArray[Any]) -> bool:
    """Return whether numbers count the rows from 0 or 1, as the index of a frame that was written with it."""
    if values.dtype == object or not len(values) or np.isnan(values).any():
        return False
    return bool((values == np.arange(len(values)) + values[0]).all()) and values[0] in (0, 1)
