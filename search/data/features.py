"""The words of a data set: its task, and the meaning of an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Feature:
    """The meaning of an input that comes from a table: a number, or 1 for yes and 0 for no.

    Attributes:
        column: the name of the table's column.
        equals: the text for which the input is 1.
        missing: whether the input is 1 where the column has no value.
        fill: the number that replaces missing ones.
        part: what the input is of a date (year, month ...), a time of the day (sine, cosine) or a hashed text; "" if it
            is the column's own value.
        offset: the number that is subtracted before the number becomes float32.
    """

    column: str
    equals: str | None = None
    missing: bool = False
    fill: float | None = None
    part: str = ""
    offset: float = 0.0

    def __str__(self) -> str:
        """``rooms``, ``town = Bern``, ``town missing`` or ``sold: year``."""
        if self.missing:
            return f"{self.column} missing"
        if self.part:
            return f"{self.column}: {self.part}"
        return self.column if self.equals is None else f"{self.column} = {self.equals}"
