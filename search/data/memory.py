"""Data in memory: a data frame with its target columns, or a pair (x, y) of arrays, tensors or frames.

    of(data)  -->  Memory  --read-->  Source

A frame of another library than pandas, such as polars, becomes one of pandas by its method `to_pandas`, or by the data
frame interchange protocol. Frames are read as tables are (`search.data.frames`), arrays as those of an .npz file are
(`search.data.arrays`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data import arrays, files, frames, headers, sources, table_files
from search.data.inputs import Numbers
from search.data.rules import Rules
from search.data.source import Source
from search.data.targets import infer
from search.errors import RequestError, clip, counted, listed, unknown

if TYPE_CHECKING:
    import pandas as pd

MEMORY = "memory"
"""The name of a data set that somebody has in memory: no other process can read it."""
_TAKES = "data takes a data frame and target='COLUMN', or a pair (x, y) of arrays, tensors or frames"
_ALONE = ("task",)
_OF_FRAMES = (*_ALONE, "missing_target", "drop", "missing", "keep", "dates")


@dataclass(frozen=True, eq=False)
class Memory:
    """A data set in memory.

    Attributes:
        frame: its table, if it is one.
        target_names: the columns of the table to predict, if they are known from a pair (x, y).
        x, y: its arrays, ``rows x features`` or of images, and ``(rows,)`` or ``rows x outputs``, if it has any.
        classes: the names of the classes 0, 1, 2 ... that the target holds; () to take the values themselves.
        notes: what is to be said about it, a line each.
    """

    frame: pd.DataFrame | None = None
    target_names: tuple[str, ...] = ()
    x: NDArray[Any] | None = None
    y: NDArray[Any] | None = None
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def of(data: object) -> Memory:
    """Return data as somebody has given them.

    Raises:
        RequestError: they are neither a frame nor a pair, or the rows of a pair do not match.
    """
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


def read(
    given: Memory | None, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    """Read a data set in memory.

    Args:
        given: the data set; None if this process does not have it.
        target: the column of a frame to predict. Several, joined by commas, make a regression with several outputs.
        rules: the rules of the split, which name columns of the frame.
        options: "task", which is otherwise inferred (see `targets`); for a frame also "missing_target", which may be
            "drop", and drop, missing, keep and dates of `table_files.OPTIONS`.
        kinds: for a frame, the kind of some columns, by name; see `table.KINDS`.

    Raises:
        RequestError: there are no data, or they are not as they should be.
    """
    if given is None:
        raise RequestError(
            "the data of this study were given in memory, so no command can read them: in Python, give them again, as"
            " in Study('l2', data=...) or load_study('l2-memory', data=...)"
        )
    allowed = _OF_FRAMES if given.frame is not None else _ALONE
    for option in options:
        if option not in allowed:
            raise unknown(f"option of {'a data frame' if given.frame is not None else 'arrays'}", option, allowed)
    if rules.validation != "train":
        raise files.no_test_part("data in memory", rules)
    source = (_of_arrays if given.frame is None else _of_frame)(given, target, rules, options, kinds)
    first, *others = source.notes
    return replace(source, notes=(first, *given.notes, *others))


def _of_frame(
    given: Memory, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    assert given.frame is not None
    if target is None and not given.target_names:
        known = listed(list(map(str, given.frame.columns)))
        raise RequestError(f"a data frame needs target='COLUMN', or give a pair data=(x, y) (it has: {known})")
    if target is not None and given.target_names:
        raise RequestError(f"target {clip(target)!r} has no place: the pair (x, y) has its target in y")
    asked = sources.asked_of(options, rules)
    whole = frames.read(given.frame, asked, kinds)
    names = list(given.target_names)
    if target is not None:
        names = sources.target_columns(whole, target)
    parts = {
        part: table_files.read_alike(files.expanded(_existing(part, file)), whole, asked)
        for part, file in rules.files.items()
    }
    return sources.of_tables(whole, parts, names, target or ",".join(names), rules, options, given.classes)


def _existing(part: str, file: str) -> str:
    if table_files.suffix(files.expanded(file)) not in table_files.SUFFIXES or not os.path.isfile(files.expanded(file)):
        raise RequestError(
            f"{part} {clip(file, 200)!r} is no table in a file: for a data frame it takes one with the same columns,"
            " or a fraction of the rows"
        )
    return file


def _of_arrays(
    given: Memory, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    assert given.x is not None
    assert given.y is not None
    columns = {"target": target, **rules.roles, **rules.files, "columns": next(iter(kinds), None)}
    for name, asked in columns.items():
        if asked is not None:
            raise RequestError(
                f"{name} {clip(str(asked))!r} names a {'file' if name in rules.files else 'column'}, which arrays do"
                " not have: give a data frame"
            )
    if given.x.dtype.kind == "f" and (missing := np.argwhere(np.isnan(given.x))).size:
        raise RequestError(
            f"x is missing in row {missing[0][0] + 1}, feature {missing[0][1] + 1}: give x as a data frame, whose"
            " missing cells are filled"
        )
    x, shape = arrays.as_rows(given.x, "x")
    targets = infer(given.y, "y", options.get("task"))
    pixels = x.dtype == torch.uint8
    return sources.joined(
        "arrays",
        {},
        [len(x)],
        targets,
        inputs=Numbers(x),
        image_shape=shape,
        pixel_max=255 if pixels else None,
        channels=(shape[0] if shape else 1) if pixels else None,
        notes=(f"arrays: {targets.summary}; {counted(x.shape[1], 'input')}",),
    )


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
