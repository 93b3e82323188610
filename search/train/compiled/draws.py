"""The draws of `search.train.streams` in one loop each: the same integers, hence the same numbers."""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import numpy as np

from search.train.compiled.toolchain import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _40, _8, _LOW = (np.uint64(number) for number in (30, 27, 31, 40, 8, 0xFFFFFFFF))
_CELL = np.uint64(0xFFFF)
_UNIT = 2.0**-24


@kernel
def _bits(stream, i):
    """Return the i-th integer of a stream, from 0."""
    x = stream + np.uint64(i + 1) * _GOLDEN
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@kernel
def bits(stream, out):
    """Fill `out`, int64, with the integers of a stream."""
    for i in range(len(out)):
        out[i] = np.int64(_bits(stream, i))


@kernel
def dense_uniform(stream, out):
    """Fill `out` with draws from [0, 1): two from each integer, its low half first."""
    unit = out.dtype.type(_UNIT)
    pairs = out[: len(out) // 2 * 2].reshape(len(out) // 2, 2)
    for i in range(len(pairs)):
        x = _bits(stream, i)
        pairs[i, 0] = out.dtype.type(np.int32((x & _LOW) >> _8)) * unit
        pairs[i, 1] = out.dtype.type(np.int32(x >> _40)) * unit
    if len(out) % 2:
        out[len(out) - 1] = out.dtype.type(np.int32((_bits(stream, len(out) // 2) & _LOW) >> _8)) * unit


@kernel
def normal(stream, table, out):
    """Fill `out` with draws from `table`: four from each integer, its low bits first.

    The table of 2^16 equally likely numbers is that of `streams`; the most negative 16 bits stand for the first.
    """
    for i in range((len(out) + 3) // 4):
        x = _bits(stream, i)
        for j in range(4):
            if 4 * i + j < len(out):
                cell = (x >> np.uint64(16 * j)) & _CELL
                out[4 * i + j] = table[np.int64(cell ^ np.uint64(0x8000))]
