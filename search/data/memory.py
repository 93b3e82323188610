"""Data in memory: a data frame with its target columns, or a pair (x, y) of arrays, tensors or frames.

    of(data)  -->  Memory  --memory_source.read-->  Source

A frame of another library than pandas, such as polars, becomes one of pandas by its method `to_pandas`, or by the data
frame interchange protocol.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data import headers
from search.errors import RequestError, clip

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "memory"
"""The name of a data set that somebody has in memory: no other process can read it."""
_TAKES = "data takes a data frame and target='COLUMN', or a pair (x, y) of arrays, tensors or frames"


@dataclass(frozen=True, eq=False)
class Memory:
    """A data set in memory.

    Attributes:
        frame: its table, if it is one.
        target_names: the columns of the table to predict, if they are known from a pair (x, y).
        x, y: its arrays, ``rows x features`` or of images, and ``(rows,)`` or ``rows x outputs``, if it has any.
        classes: the names of the classes 0, 1, 2 ... that the target holds; () to take the values themselves.
        parts: its validation and test rows, "val" and "test", if they are given as data in memory too.
        notes: what is to be said about it, a line each.
    """

    frame: pd.DataFrame | None = None
    target_names: tuple[str, ...] = ()
    x: NDArray[Any] | None = None
    y: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    parts: Mapping[str, Memory] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def of(data: object, parts: Mapping[str, object] | None = None) -> Memory:
    """Return data as somebody has given them.

    Args:
        data: a frame, or a pair (x, y).
        parts: the same for the validation and the test rows, "val" and "test", where they are given too.

    Raises:
        RequestError: they are neither a frame nor a pair, or the rows of a pair do not match.
    """
    if parts:
        return replace(of(data), parts={part: of(rows) for part, rows in parts.items()})
    if isinstance(data, Memory):
        return data
    if is_frame(data):
        return Memory(frame=as_frame(data))
    if isinstance(data, str | os.PathLike):
        raise RequestError(f"{_TAKES}; a path is given as dataset={clip(str(data), 200)!r}")
    if not isinstance(data, tuple | list) or len(data) != 2:
        what = f"{type(data).__name__} of {len(data)}" if isinstance(data, tuple | list) else type(data).__name__
        raise RequestError(f"{_TAKES}, got {_kind(data) or what}")
    x, y = data
    if not is_frame(x):
        inputs, targets = _array(x, "x"), _array(y, "y")
        _validate_lengths(inputs.shape, targets.shape)
        return Memory(x=inputs, y=targets)
    return _pair(as_frame(x), y)


def is_data(data: object) -> bool:
    """Return whether this looks like data in memory, not like a number or a path."""
    return is_frame(data) or isinstance(data, tuple | list | Memory)


def is_frame(data: object) -> bool:
    """Return whether this is a table with names for its columns: a frame of pandas, or what can become one."""
    return hasattr(data, "columns") and (hasattr(data, "to_pandas") or hasattr(data, "__dataframe__"))


def as_frame(data: Any) -> pd.DataFrame:
    """Return a frame of any library as one of pandas.

    Raises:
        RequestError: that is not possible.
    """
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    try:
        # The conversion of polars needs pyarrow; the interchange protocol does not.
        frame = data.to_pandas() if hasattr(data, "to_pandas") else _interchanged(data)
    except ImportError:
        frame = _interchanged(data)
    if not isinstance(frame, pd.DataFrame):
        raise RequestError(f"{_TAKES}, got {_kind(data)}, whose to_pandas() returns {type(frame).__name__}")
    return frame


def _pair(x: pd.DataFrame, y: Any) -> Memory:
    """Return the frame of x with the columns of y behind it. Rows belong together by their place, not by an index."""
    import pandas as pd

    if is_frame(y):
        targets = as_frame(y)
    elif hasattr(y, "name") and hasattr(y, "to_numpy"):  # a series of pandas or polars
        column = y if isinstance(y, pd.Series) else y.to_numpy()
        targets = pd.DataFrame({y.name or "target": column})
    else:
        array = _array(y, "y")
        if array.ndim not in (1, 2):
            raise RequestError(f"y needs one value or one list of values per row, got shape {array.shape}")
        columns = array.reshape(len(array), -1).T
        names = ["target"] if len(columns) == 1 else [f"target {number + 1}" for number in range(len(columns))]
        targets = pd.DataFrame(dict(zip(names, columns, strict=True)))
    _validate_lengths(x.shape, targets.shape if len(targets.columns) > 1 else targets.shape[:1])
    notes = []
    if isinstance(y, pd.Series | pd.DataFrame) and not x.index.equals(y.index):
        notes.append("data frame: x and y have different indexes, so row 1 of x belongs to row 1 of y, and so on")
    every = headers.clean([*map(str, x.columns), *map(str, targets.columns)]).names
    both = pd.concat([x.reset_index(drop=True), targets.reset_index(drop=True)], axis=1)
    return Memory(frame=both, target_names=every[len(x.columns) :], notes=tuple(notes))


def _array(data: Any, name: str) -> NDArray[Any]:
    if isinstance(data, Tensor):
        own = data.detach().cpu()
        return own.float().numpy() if own.dtype == torch.bfloat16 else own.numpy()  # numpy has no bfloat16
    if is_frame(data):
        data = as_frame(data)
    if data is None or isinstance(data, str | bytes | Mapping):
        raise RequestError(f"{_TAKES}, but {name} is {_kind(data) or type(data).__name__}")
    try:
        array = np.array(data.to_numpy() if hasattr(data, "to_numpy") else data)
    except (ValueError, TypeError) as error:
        raise RequestError(f"{name} is no array: {clip(str(error), 200)}") from None
    if array.dtype.kind == "O" and name == "y":
        # Missing values of a series are None here, as elsewhere in tables.
        import pandas as pd

        array[pd.isna(array)] = None
    return array


def _validate_lengths(x: Sequence[int], y: Sequence[int]) -> None:
    if not x or not y or x[0] != y[0]:
        shown = [" x ".join(map(str, shape)) or "a single number" for shape in (x, y)]
        raise RequestError(f"x is {shown[0]} and y is {shown[1]}: each row of x needs a y")


def _interchanged(data: Any) -> pd.DataFrame:
    from pandas.api.interchange import from_dataframe

    return from_dataframe(data)


def _kind(data: object) -> str:
    return f"{type(data).__module__.partition('.')[0]}'s {type(data).__name__}" if _is_foreign(data) else ""


def _is_foreign(data: object) -> bool:
    return type(data).__module__ not in ("builtins", "__main__")
