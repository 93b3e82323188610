"""A trial's record as Optuna user attributes: every metric, every replicate, every epoch, exact to the bit.

The curves are one attribute of about 10 kB, written before `tell`; everything that is shown later is read from it.
The times of the epochs are an attribute of their own, so that the curves of two runs of one trial compare equal.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CURVES = "curves"
"""Trial attribute: `Curves.encode()`."""
TIMES = "times"
"""Trial attribute: `encode_times(...)`, the end of each epoch in ms since the Unix epoch."""
SUMMARY = "summary"
"""Trial attribute: a dict of floats (`best_val_loss`, `best_epoch`, `final_val_loss` ...)."""
DIVERGED_AT = "diverged_at"
"""Trial attribute: the 1-based epoch at which the trial stopped being finite."""
EPOCHS = "epochs"
"""Trial attribute: how many epochs the trial was planned to take; decides which of them are logged."""
CELL = "cell"
"""Trial attribute: the index of the trial's cell in the grid, or of its setting in a study that lists them."""
RECIPE = "recipe"
"""Study attribute: the recipe as a dict."""
ENVIRONMENT = "environment"
"""Study attribute, or a trial's own where it differs: a dict of strings, `environment.describe(...)`."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of one trial.

    Attributes:
        metrics: the metrics' names, without repetition.
        values: float32 of shape (metrics, replicates, epochs); epoch e, counted from 1, is column e - 1.

    Raises:
        ValueError: if the shape does not fit the names, or a name is repeated.
    """

    metrics: tuple[str, ...]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float32))
        if self.values.ndim != 3 or self.values.shape[0] != len(self.metrics):
            raise ValueError(
                f"curves of shape (metrics, replicates, epochs) with {len(self.metrics)} metrics: "
                f"got {self.values.shape}"
            )
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError(f"a metric's name is repeated: {self.metrics}")

    @property
    def replicates(self) -> int:
        """How many replicates (seeds) the trial has."""
        return int(self.values.shape[1])

    @property
    def epochs(self) -> int:
        """How many epochs the trial reached."""
        return int(self.values.shape[2])

    def encode(self) -> dict[str, Any]:
        """The curves as a dict that JSON can hold; NaN and infinities keep their bits."""
        return {"metrics": list(self.metrics), "shape": list(self.values.shape), "data": _pack(self.values, "<f4")}

    @staticmethod
    def decode(record: dict[str, Any]) -> Curves:
        """The inverse of `encode`.

        Raises:
            ValueError: if `record` is not what `encode` writes.
        """
        try:
            shape = tuple(int(size) for size in record["shape"])
            values = _unpack(record["data"], "<f4", shape).astype(np.float32, copy=False)
            return Curves(tuple(record["metrics"]), values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of curves: {error!r}") from error

    def of(self, metric: str) -> NDArray[np.float32]:
        """One metric's curves, (replicates, epochs).

        Raises:
            KeyError: if there is no such metric; the message names those there are.
        """
        if metric not in self.metrics:
            raise KeyError(f"no metric {metric!r} among {', '.join(self.metrics)}")
        curves: NDArray[np.float32] = self.values[self.metrics.index(metric)]
        return curves

    def mean(self, metric: str) -> NDArray[np.float64]:
        """One metric's mean over the replicates, (epochs,); summed in float64, so exact for one replicate."""
        with np.errstate(invalid="ignore"):  # inf - inf is NaN: that is the mean
            mean: NDArray[np.float64] = self.of(metric).mean(axis=0, dtype=np.float64)
        return mean


def encode_times(times_ms: NDArray[np.int64]) -> dict[str, Any]:
    """The end of each epoch, int64 ms since the Unix epoch of shape (epochs,), as a dict that JSON can hold.

    Stored as differences: successive epochs take about as long, so that zlib has something to find.
    """
    times = np.asarray(times_ms, dtype=np.int64)
    if times.ndim != 1:
        raise ValueError(f"times of shape (epochs,): got {times.shape}")
    return {"epochs": len(times), "data": _pack(np.diff(times, prepend=np.int64(0)), "<i8")}


def decode_times(record: dict[str, Any]) -> NDArray[np.int64]:
    """The inverse of `encode_times`: int64 ms since the Unix epoch, (epochs,).

    Raises:
        ValueError: if `record` is not what `encode_times` writes.
    """
    try:
        return np.cumsum(_unpack(record["data"], "<i8", (int(record["epochs"]),)), dtype=np.int64)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a record of times: {error!r}") from error


def logged_epochs(epochs: int, most: int) -> NDArray[np.int64]:
    """The 1-based epochs that are logged: all if there are at most `most`, else `most` evenly spaced ones.

    The first and the last are always among them (for `most` = 1: the last).

    >>> logged_epochs(10, 4).tolist()
    [1, 4, 7, 10]
    """
    if epochs < 0 or most < 1:
        raise ValueError(f"epochs >= 0 and most >= 1: got {epochs} and {most}")
    if epochs <= most:
        return np.arange(1, epochs + 1, dtype=np.int64)
    if most == 1:
        return np.array([epochs], dtype=np.int64)
    # Integer arithmetic, rounded to nearest: the spacing is above 1, so no two coincide, on any machine.
    gaps = most - 1
    return 1 + (np.arange(most, dtype=np.int64) * (epochs - 1) * 2 + gaps) // (2 * gaps)


def _pack(array: NDArray[Any], dtype: str) -> str:
    """base64(zlib(bytes)) of an array in a fixed byte order."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array, dtype=dtype).tobytes())).decode("ascii")


def _unpack(data: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The inverse of `_pack`; refuses data of another length, and reads no more than the shape calls for."""
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(data, validate=True), expected + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"not base64(zlib(...)): {error}") from error
    if len(unpacked) != expected:
        raise ValueError(f"{expected} bytes for shape {shape}: got {len(unpacked)}")
    return np.frombuffer(unpacked, dtype=dtype).reshape(shape)
