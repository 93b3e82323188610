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

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
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
    return (x >> places) & ((1 << (64 - places)) - 1)


def bits(stream: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The first `count` integers of a stream, 64 random bits each, as int64 ``(count,)``."""
    x = torch.arange(1, count + 1, dtype=torch.int64, device=device) * _signed(_GOLDEN) + _signed(stream)
    x = (x ^ _shift_right(x, 30)) * _signed(_MIX_1)
    x = (x ^ _shift_right(x, 27)) * _signed(_MIX_2)
    return x ^ _shift_right(x, 31)


def uniform(stream: int, count: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Tensor:
    """Draws from [0, 1) in steps of 2^-24, ``(count,)``: the same numbers in float32 and float64."""
    return _shift_right(bits(stream, count, device), 64 - _UNIFORM_BITS).to(dtype) * 2.0**-_UNIFORM_BITS


def permutation(stream: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """A random order of 0 .. count-1, int64 ``(count,)``: the stable sort of `count` random integers."""
    return torch.argsort(bits(stream, count, device), stable=True)
