"""Named draws are equal for equal names, different for others, and follow their distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.packs import make_pack

from search.data import Data
from search.technique.layout import Layout
from search.train import streams

pytestmark = pytest.mark.torch_engine
_MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """Return the numbers of Vigna's public-domain reference, in Python's integers."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@given(st.integers(0, _MASK))
def test_bits_are_splitmix64(stream: int) -> None:
    drawn = [value & _MASK for value in streams.bits(stream, 5).tolist()]
    assert drawn == [splitmix64((stream + (i + 1) * 0x9E3779B97F4A7C15) & _MASK) for i in range(5)]


def test_the_first_output_of_a_known_seed() -> None:
    # These are the published test vector of SplitMix64 for seed 1234567.
    assert streams.bits(1234567, 2).tolist() == [6457827717110365317, 3203168211198807973]


@given(st.lists(st.one_of(st.integers(), st.text(max_size=5)), min_size=1, max_size=4))
def test_a_name_is_its_parts_not_their_text(name: list[int | str]) -> None:
    assert streams.key(*name) == streams.key(*name)
    assert streams.key(*name) != streams.key(*name, 0)
    swapped = [str(part) if isinstance(part, int) else part for part in name]
    assert (swapped == name) == (streams.key(*swapped) == streams.key(*name))


def test_uniform_and_permutation() -> None:
    drawn = streams.uniform(7, 100_000)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.005)
    assert drawn.std().item() == pytest.approx(12**-0.5, abs=0.003)
    assert torch.equal(drawn.double(), streams.uniform(7, 100_000, dtype=torch.float64))
    order = streams.permutation(7, 1000)
    assert torch.equal(order.sort().values, torch.arange(1000))
    assert not torch.equal(order, streams.permutation(8, 1000))
    # Every position gets every value equally often: the mean over permutations is flat.
    mean = torch.stack([streams.permutation(s, 10) for s in range(2000)]).double().mean(0)
    assert (mean - 4.5).abs().max() < 0.3


def test_initial_weights_are_torchs_default_distribution(make_data: Callable[..., Data]) -> None:
    pack = make_pack(make_data(20, 50, 3), [{"lr": 0.1}], replicates=(0, 1), hidden="40", optimizer="sgd")
    for name, value in pack.weights(0).items():
        torch.manual_seed(0)
        linear = torch.nn.Linear(50 if name.startswith("0") else 40, 40 if name.startswith("0") else 3)
        bound = linear.in_features**-0.5
        assert value.abs().max() <= bound
        if name.endswith("weight"):
            assert value.shape == linear.weight.shape
            assert value.std().item() == pytest.approx(linear.weight.std().item(), rel=0.12)
        assert not torch.equal(value, pack.weights(1)[name])


def test_dense_draws_are_uniform_and_do_not_depend_on_their_number() -> None:
    draws = streams.dense_uniform(5, 100_001, dtype=torch.float64)
    assert torch.equal(draws[:777], streams.dense_uniform(5, 777, dtype=torch.float64))
    assert torch.equal(draws, streams.dense_uniform(5, 100_001).double())
    assert draws.min() >= 0
    assert draws.max() < 1
    for moment in range(1, 5):
        assert draws.pow(moment).mean().item() == pytest.approx(1 / (moment + 1), abs=0.005)
    assert torch.corrcoef(torch.stack([draws[:-1], draws[1:]]))[0, 1].abs() < 0.01


def test_normal_draws_are_normal_and_do_not_depend_on_their_number() -> None:
    draws = streams.normal(5, 200_001, dtype=torch.float64)
    assert torch.equal(draws[:777], streams.normal(5, 777, dtype=torch.float64))
    assert torch.equal(draws, streams.normal(5, 200_001).double())
    expected = torch.distributions.Normal(0.0, 1.0)
    for z in (-3.0, -1.5, 0.0, 0.7, 2.5):
        share = (draws < z).double().mean().item()
        assert share == pytest.approx(expected.cdf(torch.tensor(z)).item(), abs=0.004)
    assert draws.mean().item() == pytest.approx(0, abs=0.01)
    assert draws.var().item() == pytest.approx(1, abs=0.01)


def test_quantiles_are_those_of_the_normal_distribution() -> None:
    uniform = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    expected = torch.distributions.Normal(0.0, 1.0).icdf(uniform)
    assert torch.allclose(streams.quantile(uniform), expected, atol=2e-3)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5))
def test_unpacking_finds_every_parameter_and_only_padding_is_left(widths: list[int]) -> None:
    layout = Layout(tuple(widths))
    row = torch.zeros(1, layout.size)
    marks = iter(range(1, layout.trainable + 1))
    for field in layout.fields:
        values = [next(marks) for _ in range(math.prod(field.shape))]
        layout.view(row, field)[field.inner] = torch.tensor(values, dtype=torch.float32).view(1, *field.shape)
    state = layout.unpack(row[0])
    assert [tuple(value.shape) for value in state.values()] == [
        shape for inputs, outputs in pairwise(widths) for shape in ((outputs, inputs), (outputs,))
    ]
    found = torch.cat([value.flatten() for value in state.values()])
    assert torch.equal(found.sort().values, torch.arange(1.0, layout.trainable + 1))
    assert int((row != 0).sum()) == layout.trainable
    assert all(field.offset % 16 == 0 for field in layout.fields)
