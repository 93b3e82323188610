"""The words that stand for a missing value."""

from __future__ import annotations

import math
import re
from typing import Any

EMPTY = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"}
    | {"N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"}
)
"""The cells that are missing in every column: those of pandas but for None, which may be a class."""

AMONG_NUMBERS = frozenset(
    {"?", "??", "???", "-", "--", "---", "\N{EN DASH}", "\N{EM DASH}", ".", "..", "...", "*", "/", "_"}
    | {"na", "n/a", "n.a.", "n.a", "nan", "null", "none", "nil", "void", "unknown", "unk", "unkn", "undefined"}
    | {"missing", "miss", "not available", "not applicable", "not known", "no data", "nodata", "blank", "(blank)"}
    | {"empty", "(empty)", "tbd", "tba", "#n/a", "#value!", "#div/0!", "#ref!", "#null!", "#num!", "#name?", "nat"}
)
"""In small letters, the words that are missing in a column that otherwise holds numbers, dates or times."""


def is_empty(cell: Any) -> bool:
    """Return whether a cell that is no text is missing: None, NaN, pandas' NA and NaT."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return True
    # The names, so that this module need not import pandas. NaT is no NaTType for type checkers.
    return type(cell).__name__ in ("NAType", "NaTType") or (
        type(cell).__name__ in ("Decimal", "float32", "float16", "datetime64", "timedelta64") and bool(cell != cell)
    )


# 0000-00-00 stands for no date in MySQL, and 00/00/0000 elsewhere.
_NO_DATE = re.compile(r"0{1,4}([-/.])0{1,2}\1(0{2,4}|0{1,2})([ T]00:00(:00(\.0+)?)?)?")


def is_missing(text: str, *, among_numbers: bool, further: frozenset[str], kept: frozenset[str]) -> bool:
    """Return whether a text, without blanks around it, is missing.

    Args:
        text: the text.
        among_numbers: whether the column holds numbers, dates or times.
        further: words that are missing as well.
        kept: words that are values, whatever the lists above say.
    """
    if text in kept:
        return False
    if text in EMPTY or text in further:
        return True
    return among_numbers and (text.casefold() in AMONG_NUMBERS or _NO_DATE.fullmatch(text) is not None)
