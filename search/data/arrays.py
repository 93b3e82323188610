"""Data sets in .npz files: arrays x and y, or x_train, y_train, x_test and y_test, which fix the test part.

x is ``rows x features``, or images: ``rows x height x width``, ``rows x height x width x channels`` or
``rows x channels x height x width``. The channel axis has length 1, 3 or 4; if both candidates do, it is the last axis.
Bytes (uint8) are pixels from 0 to 255, scaled with one mean and SD for each channel. Numbers of other types are scaled
feature by feature. y has one value per row, or is ``rows x outputs``.

Arrays of Python objects are refused: they are pickles, which can run code when they are read.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.targets import as_float32
from search.errors import EnvironmentFault, RequestError, clip

Shape = tuple[int, int, int]

_WHOLE, _PARTS = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")
_CHANNELS = (1, 3, 4)
# The errors of a damaged file. The header of an array is a Python literal, and a member of a zip file may be encrypted
# or compressed in an unknown way.
_DAMAGE = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    NotImplementedError,
    SyntaxError,
    TypeError,
    OverflowError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Arrays:
    """The content of an .npz file.

    Attributes:
        x: the inputs, ``rows x features``, uint8 or float32.
        y: the targets of the same rows, as in the file.
        y_names: the names of the arrays that hold them, for an error.
        train: the number of rows before the file's own test rows, or None if it has none.
        image_shape: the (channels, height, width) of a row, or None if rows are not images.
        others: the arrays that were asked for besides, ``(rows,)``, by name.
    """

    x: Tensor
    y: NDArray[Any]
    y_names: str
    train: int | None
    image_shape: Shape | None
    others: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def read(path: Path, others: Collection[str] = ()) -> Arrays:
    """Read an .npz file.

    Args:
        path: the path of the file.
        others: the names of arrays to read besides x and y, with a value for each row (training rows, then test rows).

    Raises:
        EnvironmentFault: the file is damaged.
        RequestError: the file is whole, but its arrays are not as above.
    """
    arrays = _load(path, others)
    names = _PARTS if "x_train" in arrays else _WHOLE
    for name in others:
        if name not in arrays or name in names:
            raise RequestError(
                f"{path.name} has no array {clip(name)!r} besides {', '.join(names)}"
                f" (it has: {clip(', '.join(sorted(arrays)))})"
            )
    if set(arrays) - set(others) != set(names):
        missing = [name for name in names if name not in arrays]
        fault = f"it has no {', '.join(missing)}"
        if not missing:
            fault = "it has others too, which none of group, time and weights names"
        raise RequestError(
            f"{path.name} must hold arrays x and y, or x_train, y_train, x_test and y_test; {fault}"
            f" (it has: {clip(', '.join(sorted(arrays)) or 'none')})"
        )
    x_names, y_names = names[0::2], names[1::2]
    parts = [_part(path, arrays, x_name, y_name) for x_name, y_name in zip(x_names, y_names, strict=True)]
    (x, shape), *rest = parts
    for (other, other_shape), name in zip(rest, x_names[1:], strict=True):
        if (other_shape, other.shape[1], other.dtype) != (shape, x.shape[1], x.dtype):
            first = arrays[x_names[0]]
            raise RequestError(
                f"{path.name}: the rows of {x_names[0]} and {name} differ: {x_names[0]} is {first.dtype}"
                f" {_sized(first)}, {name} is {arrays[name].dtype} {_sized(arrays[name])}"
            )
    y = [arrays[name] for name in y_names]
    if len({(part.shape[1:], part.dtype.kind in "US") for part in y}) > 1:
        raise RequestError(f"{path.name}: {' and '.join(y_names)} differ in shape or type")
    every = torch.cat([part for part, _ in parts])
    for name in others:
        if arrays[name].shape != (len(every),) or arrays[name].dtype.kind not in "biufUM":
            raise RequestError(
                f"{path.name}: {name} must hold one number or text for each of {len(every):,} rows, got"
                f" {arrays[name].dtype} {_sized(arrays[name])}"
            )
    chosen = {name: arrays[name] for name in others}
    return Arrays(every, np.concatenate(y), " and ".join(y_names), len(x) if rest else None, shape, chosen)


def _load(path: Path, others: Collection[str]) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path.name}: {error.strerror}") from None
    # This also refuses a pickle and a single array (.npy), which `np.load` would accept.
    if start not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise EnvironmentFault(f"{path.name} is not an .npz file, which begins with PK (np.savez writes one)")
    members: dict[str, NDArray[Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if name not in (*_WHOLE, *_PARTS, *others):
                    members[name] = np.empty(0)
                    continue
                members[name] = arrays[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise RequestError(
                f"{path.name}: {name} holds Python objects, which could run code when they are read:"
                " save numbers or text instead"
            ) from None
        raise _damaged(path, error) from None
    except MemoryError:
        raise EnvironmentFault(f"{path.name} does not fit into memory, or is damaged") from None
    except _DAMAGE as error:
        raise _damaged(path, error) from None
    for name, array in members.items():
        if not isinstance(array, np.ndarray):
            raise EnvironmentFault(f"{path.name} is damaged: {name} is not an array")
    return members


def _damaged(path: Path, error: BaseException) -> EnvironmentFault:
    return EnvironmentFault(f"{path.name} is not a complete .npz file: {clip(' '.join(str(error).split()), 200)}")


def _part(path: Path, arrays: Mapping[str, NDArray[Any]], x_name: str, y_name: str) -> tuple[Tensor, Shape | None]:
    x, y = arrays[x_name], arrays[y_name]
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise RequestError(f"{path.name}: {x_name} is {_sized(x)} and {y_name} is {_sized(y)}: each row of x needs a y")
    if not len(x):
        raise RequestError(f"{path.name}: {x_name} has no rows")
    return as_rows(x, f"{path.name}: {x_name}")


def as_rows(x: NDArray[Any], name: str) -> tuple[Tensor, Shape | None]:
    """Return an array as ``rows x features``, uint8 or float32, and the (channels, height, width) of its images.

    Args:
        x: the numbers, ``rows x features``, or images as above.
        name: the words for the array in an error.

    Raises:
        RequestError: the array is neither, or a number is missing, infinite, or not kept by float32.
    """
    if x.dtype.kind not in "biuf":
        raise RequestError(f"{name} must hold numbers, got {x.dtype}")
    if x.ndim not in (2, 3, 4) or not x.size:
        raise RequestError(f"{name} must be rows x features, or images, got {_sized(x)}")
    shape: Shape | None = None
    if x.ndim == 3:
        shape = (1, x.shape[1], x.shape[2])
    elif x.ndim == 4:
        if x.shape[3] in _CHANNELS:
            x = np.moveaxis(x, 3, 1)
        elif x.shape[1] not in _CHANNELS:
            raise RequestError(f"{name} must hold images of 1, 3 or 4 channels, got {_sized(x)}")
        shape = (x.shape[1], x.shape[2], x.shape[3])
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    if flat.dtype == np.uint8:
        return torch.from_numpy(flat), shape
    return as_float32(flat, lambda column: f"{name}: feature {column + 1}"), shape


def read_x(path: Path) -> NDArray[Any]:
    """Return the array x of an .npz file.

    Raises:
        EnvironmentFault: the file is damaged.
        RequestError: the file is of another kind, or it has no array x.
    """
    if path.suffix.lower() != ".npz":
        raise RequestError(f"{path.name} has an unknown suffix: give a table, such as a .csv, or an .npz")
    arrays = _load(path, ())
    if "x" not in arrays:
        raise RequestError(f"{path.name} must hold an array x (it has: {clip(', '.join(sorted(arrays)) or 'none')})")
    return arrays["x"]


def _sized(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape)) or "a single number"
