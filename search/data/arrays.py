"""Arrays in an .npz: x and y, or x_train, y_train, x_test and y_test, whose test rows then stay the test part.

x is ``rows x features``, or images: ``rows x height x width``, ``rows x height x width x channels`` or
``rows x channels x height x width``. The axis of the channels is the one of length 1, 3 or 4; where both could be it,
the last. Bytes (uint8) are pixels, 0 to 255, of which each channel shares one mean and SD; numbers of other types are
features of their own. y is one value a row, or ``rows x outputs``.

Arrays of Python objects are pickles, which can run code when they are read: they are refused.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.targets import Targets, as_float32, infer
from search.errors import EnvironmentFault, RequestError, clip

Shape = tuple[int, int, int]

_WHOLE, _PARTS = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, eq=False)
class Arrays:
    """What an .npz holds.

    Attributes:
        x: (rows, features) uint8 or float32; `train` says how many of its rows, the first, are not test rows.
        train: None where the file has no test rows.
    """

    x: Tensor
    targets: Targets
    train: int | None
    image_shape: Shape | None


def read(path: Path, task: object = None) -> Arrays:
    """The rows of an .npz.

    Raises:
        EnvironmentFault: the file is damaged.
        RequestError: it is whole, but does not hold arrays as above.
    """
    arrays = _load(path)
    named = _PARTS if "x_train" in arrays else _WHOLE
    if set(arrays) != set(named):
        missing = [name for name in named if name not in arrays]
        wrong = f"it has no {', '.join(missing)}" if missing else "it has others too"
        raise RequestError(
            f"{path.name} takes arrays x and y, or x_train, y_train, x_test and y_test; {wrong}"
            f" (it has: {clip(', '.join(sorted(arrays)) or 'none')})"
        )
    read_parts = [_part(path, arrays, named[place], named[place + 1]) for place in range(0, len(named), 2)]
    (x, shape), *rest = read_parts
    for (other, other_shape), name in zip(rest, named[2::2], strict=True):
        if (other_shape, other.shape[1], other.dtype) != (shape, x.shape[1], x.dtype):
            raise RequestError(
                f"{path.name}: {named[0]} is {arrays[named[0]].dtype} {_sized(arrays[named[0]])} and {name}"
                f" {arrays[name].dtype} {_sized(arrays[name])}: their rows differ"
            )
    y = [arrays[name] for name in named[1::2]]
    if len({(one.shape[1:], one.dtype.kind in "US") for one in y}) > 1:
        raise RequestError(f"{path.name}: {' and '.join(named[1::2])} differ in shape or type")
    targets = infer(np.concatenate(y), f"{path.name}: {' and '.join(named[1::2])}", task)
    return Arrays(torch.cat([part for part, _ in read_parts]), targets, len(x) if rest else None, shape)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path.name}: {error.strerror}") from None
    # What numpy would try to unpickle if it were let, and a single array.
    if start not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise EnvironmentFault(f"{path.name} is not an .npz file, which begins with PK (np.savez writes one)")
    found: dict[str, NDArray[Any]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if name not in (*_WHOLE, *_PARTS):
                    found[name] = np.empty(0)
                    continue
                found[name] = arrays[name]
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise RequestError(
                f"{path.name}: {name} holds Python objects, which could run code when they are read: takes numbers"
            ) from None
        raise _damaged(path, error) from None
    except MemoryError:
        raise EnvironmentFault(f"{path.name} does not fit into memory, or is damaged") from None
    # A header of an array is a Python literal; a member of a zip file may be encrypted or oddly compressed.
    except (
        OSError, EOFError, KeyError, RuntimeError, NotImplementedError, SyntaxError, TypeError, OverflowError,
        tokenize.TokenError, zipfile.BadZipFile, zlib.error,
    ) as error:  # fmt: skip
        raise _damaged(path, error) from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise EnvironmentFault(f"{path.name} is damaged: {name} is no array")
    return found


def _damaged(path: Path, error: BaseException) -> EnvironmentFault:
    return EnvironmentFault(f"{path.name} is no whole .npz file: {clip(' '.join(str(error).split()), 200)}")


def _part(path: Path, arrays: Mapping[str, NDArray[Any]], x_name: str, y_name: str) -> tuple[Tensor, Shape | None]:
    x, y = arrays[x_name], arrays[y_name]
    if x.dtype.kind not in "biuf":
        raise RequestError(f"{path.name}: {x_name} takes numbers, got {x.dtype}")
    if y.ndim == 0 or x.ndim == 0 or len(x) != len(y):
        raise RequestError(
            f"{path.name}: {x_name} is {_sized(x)} and {y_name} {_sized(y)}: takes a y for each row of x"
        )
    if not len(x):
        raise RequestError(f"{path.name}: {x_name} has no rows")
    if x.ndim not in (2, 3, 4) or not x.size:
        raise RequestError(f"{path.name}: {x_name} takes rows x features, or images, got {_sized(x)}")
    shape: Shape | None = None
    if x.ndim == 3:
        shape = (1, x.shape[1], x.shape[2])
    elif x.ndim == 4:
        if x.shape[3] in _CHANNELS:
            x = np.moveaxis(x, 3, 1)
        elif x.shape[1] not in _CHANNELS:
            raise RequestError(f"{path.name}: {x_name} takes images of 1, 3 or 4 channels, got {_sized(x)}")
        shape = (x.shape[1], x.shape[2], x.shape[3])
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    if flat.dtype == np.uint8:
        return torch.from_numpy(flat), shape
    return as_float32(flat, lambda column: f"{path.name}: {x_name}: feature {column + 1}"), shape


def _sized(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape)) or "a single number"
