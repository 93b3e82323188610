"""A trial's record as user attributes of the Optuna trial: all metrics, replicates and epochs, exact to the bit.

The curves are one attribute of about 10 kB, written before `tell`. Everything that is shown later is read from it. The
times of the epochs are another attribute, so that the curves of two runs of the same trial compare equal.
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
"""Trial attribute: `encode_times(...)`, the time at the end of each epoch in ms since 1970."""
SUMMARY = "summary"
"""Trial attribute: a dict of floats (`best_val_loss`, `best_epoch`, `final_val_loss` ...)."""
DIVERGED_AT = "diverged_at"
"""Trial attribute: the 1-based epoch at which the trial stopped being finite."""
EPOCHS = "epochs"
"""Trial attribute: the number of epochs that the trial takes unless it is stopped; decides which are logged."""
CELL = "cell"
"""Trial attribute: the index of the trial's cell in the grid, or of its setting in a study that lists them."""
REFUSED = "refused"
"""Trial attribute: why the values that somebody has enqueued for the trial cannot be trained."""
RECIPE = "recipe"
"""Study attribute: the recipe as a dict."""
ENVIRONMENT = "environment"
"""Study attribute, and trial attribute where it differs: a dict of strings, `environment.describe(...)`."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of one trial.

    Attributes:
        metrics: the names of the metrics, without repetition.
        values: the values, float32 of shape ``metrics x replicates x epochs``; epoch e, from 1, is column e - 1.

    Raises:
        ValueError: the shape does not fit the names, or a name is repeated.
    """

    metrics: tuple[str, ...]
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "values", np.asarray(self.values, dtype=np.float32))
        if self.values.ndim != 3 or self.values.shape[0] != len(self.metrics):
            raise ValueError(
                f"curves take the shape (metrics, replicates, epochs) with {len(self.metrics)} metrics, "
                f"got {self.values.shape}"
            )
        if len(set(self.metrics)) != len(self.metrics):
            raise ValueError(f"curves take each metric once, got {self.metrics}")

    @property
    def replicates(self) -> int:
        """The number of replicates (seeds) of the trial."""
        return int(self.values.shape[1])

    @property
    def epochs(self) -> int:
        """The number of epochs that the trial was trained."""
        return int(self.values.shape[2])

    def encode(self) -> dict[str, Any]:
        """Return the curves as a dict that JSON can hold; NaN and infinities keep their bits."""
        return {"metrics": list(self.metrics), "shape": list(self.values.shape), "data": pack(self.values, "<f4")}

    @staticmethod
    def decode(record: dict[str, Any]) -> Curves:
        """Return the curves in a record that `encode` returned.

        Raises:
            ValueError: `record` is not what `encode` returns.
        """
        try:
            shape = tuple(int(size) for size in record["shape"])
            values = unpack(record["data"], "<f4", shape).astype(np.float32, copy=False)
            return Curves(tuple(record["metrics"]), values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of curves: {error!r}") from error

    def of(self, metric: str) -> NDArray[np.float32]:
        """Return the curves of a metric, ``replicates x epochs``.

        Raises:
            KeyError: there is no such metric; the message lists the metrics.
        """
        if metric not in self.metrics:
            raise KeyError(f"no metric {metric!r} among {', '.join(self.metrics)}")
        curves: NDArray[np.float32] = self.values[self.metrics.index(metric)]
        return curves

    def mean(self, metric: str) -> NDArray[np.float64]:
        """Return a metric's mean over the replicates, ``(epochs,)``; summed in float64, so exact for one replicate."""
        with np.errstate(invalid="ignore"):  # the mean of inf and -inf is NaN
            mean: NDArray[np.float64] = self.of(metric).mean(axis=0, dtype=np.float64)
        return mean


def encode_times(times_ms: NDArray[np.int64]) -> dict[str, Any]:
    """Return the times at the end of each epoch, int64 ms since 1970 ``(epochs,)``, as a dict that JSON can hold.

    Differences are stored, because epochs take about equally long, so that zlib compresses the differences well.
    """
    times = np.asarray(times_ms, dtype=np.int64)
    if times.ndim != 1:
        raise ValueError(f"times take the shape (epochs,), got {times.shape}")
    return {"epochs": len(times), "data": pack(np.diff(times, prepend=np.int64(0)), "<i8")}


def decode_times(record: dict[str, Any]) -> NDArray[np.int64]:
    """Return the times in a record that `encode_times` returned, int64 ms since 1970 ``(epochs,)``.

    Raises:
        ValueError: `record` is not what `encode_times` returns.
    """
    try:
        return np.cumsum(unpack(record["data"], "<i8", (int(record["epochs"]),)), dtype=np.int64)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a record of times: {error!r}") from error


def logged_epochs(epochs: int, most: int) -> NDArray[np.int64]:
    """Return the epochs, from 1, that are logged: all if there are at most `most`, else `most` evenly spaced ones.

    The first and the last are always among them; if `most` is 1, only the last is.

    >>> logged_epochs(10, 4).tolist()
    [1, 4, 7, 10]
    """
    if epochs < 0 or most < 1:
        raise ValueError(f"epochs must be >= 0 and most >= 1, got {epochs} and {most}")
    if epochs <= most:
        return np.arange(1, epochs + 1, dtype=np.int64)
    if most == 1:
        return np.array([epochs], dtype=np.int64)
    # Integer arithmetic, rounded to nearest, is the same on every machine; the spacing is above 1, so no two coincide.
    gaps = most - 1
    return 1 + (np.arange(most, dtype=np.int64) * (epochs - 1) * 2 + gaps) // (2 * gaps)


def pack(array: NDArray[Any], dtype: str) -> str:
    """Return base64(zlib(bytes)) of an array in a fixed byte order."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array, dtype=dtype).tobytes())).decode("ascii")


def unpack(data: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the array that `pack` encoded; decompress no more than the shape calls for."""
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        unpacked = zlib.decompressobj().decompress(base64.b64decode(data, validate=True), expected + 1)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"a record's data must be base64(zlib(...)): {error}") from error
    if len(unpacked) != expected:
        raise ValueError(f"a record of shape {shape} has {expected} bytes, got {len(unpacked)}")
    return np.frombuffer(unpacked, dtype=dtype).reshape(shape)
