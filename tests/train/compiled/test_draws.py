"""The compiled draws are those of torch's integer arithmetic, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.train import streams

TYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
DRAWS = pytest.mark.parametrize("draw", [streams.dense_uniform, streams.normal])
_MASK = 2**64 - 1


@TYPES
@DRAWS
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 6, 7, 8, 127, 1001, 2**17 + 3])
def test_they_equal_those_of_torch(monkeypatch: pytest.MonkeyPatch, draw, count: int, dtype: torch.dtype) -> None:
    for stream in (0, 1, 2**63 - 1, 2**63, 2**64 - 1, streams.key("a", 1)):
        compiled = draw(stream, count, dtype=dtype)
        with monkeypatch.context() as patched:
            patched.setattr(streams, "_compiled", lambda _device: None)
            in_torch = draw(stream, count, dtype=dtype)
        assert compiled.dtype == dtype
        assert torch.equal(compiled, in_torch)


def integers(stream: int, count: int) -> list[int]:
    """Return the numbers of SplitMix64, in Python's integers."""
    found = []
    for i in range(1, count + 1):
        z = (stream + i * 0x9E3779B97F4A7C15) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        found.append(z ^ (z >> 31))
    return found


@TYPES
@given(stream=st.integers(0, _MASK), count=st.integers(0, 40))
@settings(deadline=None)
def test_they_are_the_halves_and_quarters_of_the_integers(dtype: torch.dtype, stream: int, count: int) -> None:
    bits = integers(stream, count)
    halves = [half for x in bits for half in (x & 0xFFFFFFFF, x >> 32)][:count]
    assert streams.dense_uniform(stream, count, dtype=dtype).tolist() == [(half >> 8) / 2**24 for half in halves]
    quarters = [(x >> shift) & 0xFFFF for x in bits for shift in (0, 16, 32, 48)][:count]
    # Read as signed, the smallest quarter is the lowest of 2^16 equally likely cells.
    cells = [(quarter ^ 0x8000) / 2**16 for quarter in quarters]
    expected = streams.quantile(torch.tensor(cells, dtype=dtype))
    assert torch.equal(streams.normal(stream, count, dtype=dtype), expected)


def test_the_engine_is_what_draws() -> None:
    """A test of the two against each other means nothing if both are torch."""
    from search.train.compiled import draws

    out = np.empty(5, np.float32)
    draws.dense_uniform(np.uint64(7), out)
    assert out.tolist() == streams.dense_uniform(7, 5).tolist()
    assert streams._compiled(torch.device("cpu")) is draws
