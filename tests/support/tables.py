"""Small tables, as texts and as frames, for tests of how they are read and split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from search.data import Data

ROWS = [
    (round(((i * 37) % 61 - 30) / 13, 3), round(((i * 17) % 43 - 20) / 11, 3), ("yes", "no")[i % 2]) for i in range(60)
]
"""Two numbers and a class."""


def lines(change: Callable[[int, float, float, str], tuple[object, ...]], header: str = "a,b,y") -> str:
    """Return the text of a table of `ROWS` after a change of each."""
    return "\n".join([header, *(",".join(map(str, change(i, *row))) for i, row in enumerate(ROWS))]) + "\n"


def columns(data: Data) -> set[str]:
    """Return the table's columns from which there are inputs."""
    return {feature.column.split()[0] for feature in data.columns}


def days(i: int) -> str:
    """Return a day of a month, in two digits."""
    return f"{i % 28 + 1:02}"


def frame(rows: int = 60, **columns: Any) -> pd.DataFrame:
    """Return a table whose column "row" numbers the rows."""
    return pd.DataFrame({"row": np.arange(rows), "y": np.random.default_rng(0).random(rows)} | columns)


def numbers(data: Data, column: int = 0) -> list[list[int]]:
    """Return the values of a column of whole numbers in each part."""
    parts = (data.x_train, data.x_val, data.x_test)
    return [data.inputs.invert(x)[:, column].round().int().tolist() for x in parts]
