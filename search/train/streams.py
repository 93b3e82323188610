"""Counter-based random streams: every draw of training is a function of what it is for.

A draw is named by (study seed, replicate, purpose, index ...): the name is hashed to a 64-bit key, and the i-th
number of the stream is a fixed mix of key and i. Nothing is drawn from a global generator, so a slot's randomness
does not depend on its neighbours, on the pack's width or on what ran before (contract C3), and the integers are the
same on CPU and CUDA. All slots of a replicate see the same draws (common random numbers).

Source of the mix: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014), the
SplitMix64 finaliser; of the idea: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

import hashlib
import math
from functools import cache, lru_cache
from statistics import NormalDist

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_KEPT = 2**17  # counters that are kept: enough for a step's noise; initial weights of a large network ask once
_UNIFORM_BITS = 24  # exactly representable in float32, so float32 and float64 training see the same numbers


def key(*name: int | str) -> int:
    """A 64-bit key from the parts of a draw's name, for instance ``key(seed, replicate, "order", epoch)``."""
    digest = hashlib.blake2b("\x1f".join(f"{type(part).__name__}:{part}" for part in name).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "little")


def _signed(value: int) -> int:
    """The two's complement reading of a 64-bit pattern: torch has no unsigned 64-bit arithmetic."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shift_right(x: Tensor, places: int) -> Tensor:
    """Logical shift: torch's own shift of a signed integer repeats the sign bit."""
    return (x >> places).bitwise_and_((1 << (64 - places)) - 1)


def bits(stream: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first `count` integers of a stream, 64 random bits each, as int64 ``(count,)``."""
    counters = _kept_counters if count <= _KEPT else _counters
    x = counters(count, torch.device(device)) + _signed(stream)
    x.bitwise_xor_(_shift_right(x, 30)).mul_(_signed(_MIX_1))
    x.bitwise_xor_(_shift_right(x, 27)).mul_(_signed(_MIX_2))
    return x.bitwise_xor_(_shift_right(x, 31))


def _counters(count: int, device: torch.device) -> Tensor:
    """The multiples 1 ... count of the golden ratio."""
    return torch.arange(1, count + 1, dtype=torch.int64, device=device).mul_(_signed(_GOLDEN))


# The same few counts are asked for in every step.
_kept_counters = lru_cache(maxsize=64)(_counters)


def uniform(stream: int, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Draws from [0, 1) in steps of 2^-24, ``(count,)``: the same numbers in float32 and float64."""
    return _shift_right(bits(stream, count, device), 64 - _UNIFORM_BITS).to(dtype) * 2.0**-_UNIFORM_BITS


def dense_uniform(
    stream: int, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> Tensor:
    """Draws like `uniform`, ``(count,)``, two from each integer: half the work, for noise of every step."""
    halves = bits(stream, -(-count // 2), device).view(torch.int32)[:count]
    return (halves >> 8).bitwise_and_((1 << _UNIFORM_BITS) - 1).to(dtype).mul_(2.0**-_UNIFORM_BITS)


def normal(stream: int, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal draws, ``(count,)``: quantiles of 2^16 equally likely cells, four draws from each integer.

    A table, because the logarithm and cosine of the usual transforms round differently from place to place and from
    machine to machine. Mean 0 and variance 1 hold exactly; no draw is farther out than 4.3.
    """
    quarters = bits(stream, -(-count // 4), device).view(torch.int16)[:count]
    return _quantiles(torch.device(device), dtype).index_select(0, quarters.to(torch.int32) + (1 << 15))


def quantile(uniform: Tensor) -> Tensor:
    """The standard normal quantile of draws from [0, 1), of any shape: monotone, so paired with the draws."""
    cell = (uniform * 2**16).to(torch.int64)
    return _quantiles(uniform.device, uniform.dtype)[cell]


@cache
def _quantiles(device: torch.device, dtype: torch.dtype) -> Tensor:
    """The standard normal quantiles at the middle of each of 2^16 cells, scaled to variance 1."""
    half = [NormalDist().inv_cdf((cell + 0.5) / 2**16) for cell in range(2**15)]
    scale = 1 / math.sqrt(math.fsum(value * value for value in half) / 2**15)
    lower = [value * scale for value in half]
    # float32 first: float64 training then sees the very same noise.
    table = torch.tensor([*lower, *(-value for value in reversed(lower))], dtype=torch.float32)
    return table.to(device, dtype)


def permutation(stream: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """A random order of 0 .. count-1, int64 ``(count,)``: the stable sort of `count` random integers."""
    return torch.argsort(bits(stream, count, device), stable=True)
