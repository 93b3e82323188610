"""Counter-based random streams: every random draw in training is a function of its name.

The name is (study seed, replicate, purpose, index ...). It is hashed to a 64-bit key, and the i-th number of the stream
is a fixed mix of key and i. Nothing is drawn from a global generator. So a slot's randomness does not depend on its
neighbours, on the pack's width or on what ran before (contract C3, docs/design.md), and the integers are the same on
CPU and CUDA. All slots of a replicate see the same draws (common random numbers).

Source of the mix: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), the
SplitMix64 finaliser; of the idea: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache, lru_cache
from statistics import NormalDist
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.train.compiled import toolchain

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_KEPT = 2**17  # the most counters to cache: enough for the noise of a step; larger counts are used once, at the start
_UNIFORM_BITS = 24  # exact in float32, so that float32 and float64 training see the same numbers


Stream = int | Tensor
"""The key of a stream; or the keys of several, int64 ``(streams,)`` on the device, whose draws are then rows."""


def key(*name: int | str) -> int:
    """Return the 64-bit key of a draw's name, for instance ``key(seed, replicate, "order", epoch)``."""
    digest = hashlib.blake2b("\x1f".join(f"{type(part).__name__}:{part}" for part in name).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _signed(value: int) -> int:
    """Read a 64-bit pattern as two's complement, because torch has no unsigned 64-bit arithmetic."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shift_right(x: Tensor, places: int) -> Tensor:
    """Shift logically; torch's own shift of a signed integer repeats the sign bit."""
    return (x >> places).bitwise_and_((1 << (64 - places)) - 1)


def bits(stream: Stream, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return the first `count` integers of a stream, 64 random bits each, int64 ``(count,)``."""
    counters = _kept_counters if count <= _KEPT else _counters
    x = counters(count, torch.device(device)) + (stream[:, None] if isinstance(stream, Tensor) else _signed(stream))
    x.bitwise_xor_(_shift_right(x, 30)).mul_(_signed(_MIX_1))
    x.bitwise_xor_(_shift_right(x, 27)).mul_(_signed(_MIX_2))
    return x.bitwise_xor_(_shift_right(x, 31))


def _counters(count: int, device: torch.device) -> Tensor:
    """Return the multiples 1 ... count of the golden ratio, modulo 2^64."""
    return torch.arange(1, count + 1, dtype=torch.int64, device=device).mul_(_signed(_GOLDEN))


# Every step asks for the same few counts.
_kept_counters = lru_cache(maxsize=64)(_counters)


def uniform(stream: int, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw from [0, 1) in steps of 2^-24, ``(count,)``: the same numbers in float32 and float64."""
    return _shift_right(bits(stream, count, device), 64 - _UNIFORM_BITS).to(dtype) * 2.0**-_UNIFORM_BITS


def dense_uniform(
    stream: Stream, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw like `uniform`, ``(count,)``, but two numbers from each integer: half the work, for the noise of steps."""
    if (compiled := _compiled(torch.device(device))) is not None:
        return _drawn(compiled.dense_uniform, stream, count, dtype)
    halves = bits(stream, -(-count // 2), device).view(torch.int32)[..., :count]
    return (halves >> 8).bitwise_and_((1 << _UNIFORM_BITS) - 1).to(dtype).mul_(2.0**-_UNIFORM_BITS)


def normal(
    stream: Stream, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draw from the standard normal, ``(count,)``: quantiles of 2^16 equally likely cells, four from each integer.

    The quantiles are in a table, because the logarithm and cosine of the usual transforms round differently from place
    to place and from machine to machine. Mean 0 and variance 1 hold exactly; no draw exceeds 4.3 in magnitude.
    """
    if (compiled := _compiled(torch.device(device))) is not None:
        table = _quantiles(torch.device(device), dtype).numpy()
        return _drawn(lambda key, out: compiled.normal(key, table, out), stream, count, dtype)
    quarters = bits(stream, -(-count // 4), device).view(torch.int16)[..., :count]
    cells = quarters.to(torch.int32) + (1 << 15)
    return _quantiles(torch.device(device), dtype).index_select(0, cells.view(-1)).view(cells.shape)


def _drawn(fill: Callable[[np.uint64, NDArray[Any]], None], stream: Stream, count: int, dtype: torch.dtype) -> Tensor:
    """Return the draws of a stream, or of several, with which a compiled function fills an array."""
    keys = stream.numpy().view(np.uint64) if isinstance(stream, Tensor) else np.array([stream], np.uint64)
    out = torch.empty(len(keys), count, dtype=dtype)
    for one, row in zip(keys, out.numpy(), strict=True):
        fill(one, row)
    return out if isinstance(stream, Tensor) else out[0]


@cache
def _compiled(device: torch.device) -> ModuleType | None:
    """Return the compiled form of the draws on a device, None if there is none."""
    if device.type != "cpu" or toolchain.unavailable() is not None:
        return None
    from search.train.compiled import draws  # it takes numba

    return draws


def quantile(uniform: Tensor) -> Tensor:
    """Return the standard normal quantiles of draws from [0, 1), of any shape; they are monotone in the draws."""
    cell = (uniform * 2**16).to(torch.int64)
    return _quantiles(uniform.device, uniform.dtype)[cell]


@cache
def _quantiles(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the standard normal quantiles at the middle of each of 2^16 cells, scaled to variance 1."""
    half = [NormalDist().inv_cdf((cell + 0.5) / 2**16) for cell in range(2**15)]
    scale = 1 / math.sqrt(math.fsum(value * value for value in half) / 2**15)
    lower = [value * scale for value in half]
    # Rounded to float32 first, so that float64 training sees exactly the same noise.
    table = torch.tensor([*lower, *(-value for value in reversed(lower))], dtype=torch.float32)
    return table.to(device, dtype)


def permutation(stream: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """Return a random order of 0 .. count-1, int64 ``(count,)``: the stable sort of `count` random integers."""
    if (compiled := _compiled(torch.device(device))) is None:
        return torch.argsort(bits(stream, count, device), stable=True)
    drawn, out = np.empty(count, np.int64), torch.empty(count, dtype=torch.int64)
    compiled.bits(np.uint64(stream), drawn)
    # numpy's plain sort is several times as fast; among different integers it is a stable one.
    order = np.argsort(drawn)
    in_order = drawn[order]
    if (in_order[1:] == in_order[:-1]).any():
        order = np.argsort(drawn, kind="stable")
    out.numpy()[:] = order
    return out
