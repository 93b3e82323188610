"""exp, tanh and erf of the kernels: their errors in units in the last place, and the same bits in every place."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from search.train.compiled import elementary
from search.train.compiled.activations import CODES, activate, differentiate
from search.train.compiled.toolchain import kernel

Array = NDArray[np.floating]
exp, tanh, erf = elementary.exp, elementary.tanh, elementary.erf
quarter_sine, quarter_cosine = elementary.quarter_sine, elementary.quarter_cosine


@kernel
def each_exp(x, out):
    for i in range(len(x)):
        out[i] = exp(x[i])


@kernel
def each_tanh(x, out):
    for i in range(len(x)):
        out[i] = tanh(x[i])


@kernel
def each_erf(x, out):
    for i in range(len(x)):
        out[i] = erf(x[i])


@kernel
def each_sine(x, out):
    for i in range(len(x)):
        out[i] = quarter_sine(x[i])


@kernel
def each_cosine(x, out):
    for i in range(len(x)):
        out[i] = quarter_cosine(x[i])


LOOPS = {"exp": each_exp, "tanh": each_tanh, "erf": each_erf}
EXACT = {"exp": math.exp, "tanh": math.tanh, "erf": math.erf}
MOST = {"exp": 2, "tanh": 2, "erf": 6}  # as the module promises, in units in the last place
each = pytest.mark.parametrize("name", LOOPS)


def call(name: str, x: Array) -> Array:
    out = np.empty_like(x)
    LOOPS[name](x, out)
    return out


def points(name: str, dtype: type) -> Array:
    """Return numbers of every size that matter, of both signs."""
    widest = 87.0 if name == "exp" else 10.0
    sizes = np.concatenate([np.linspace(0, widest, 20_011), np.geomspace(1e-30, widest, 20_011)])
    x: Array = np.concatenate([sizes, -sizes]).astype(dtype)
    return x


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_are_as_small_as_promised(name: str, dtype: type) -> None:
    x = points(name, dtype)
    # The reference has float64, so in float64 it may be half a unit off itself.
    expected = np.array([EXACT[name](float(one)) for one in x])
    units = np.abs(call(name, x) - expected) / np.spacing(np.abs(expected).astype(dtype)).astype(np.float64)
    assert units.max() < (MOST[name] if dtype is np.float32 else 2), x[units.argmax()]


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_do_not_depend_on_the_place(name: str, dtype: type) -> None:
    x = np.random.default_rng(0).normal(0, 2, 173).astype(dtype)
    whole = call(name, x)
    for start in range(40):
        for count in (1, 2, 3, 5, 8, 16, 31, 64, 100):
            assert np.array_equal(call(name, x[start : start + count]), whole[start : start + count])


@pytest.mark.parametrize(("loop", "exact"), [(each_sine, np.sin), (each_cosine, np.cos)])
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 2e-7), (np.float64, 1e-15)])
def test_sine_and_cosine(loop: Callable[..., None], exact: Callable[..., Array], dtype: type, error: float) -> None:
    x = np.linspace(-np.pi / 2, np.pi / 2, 20_011).astype(dtype)
    whole = np.empty_like(x)
    loop(x, whole)
    assert np.abs(whole - exact(x.astype(np.float64))).max() < error
    for start in range(40):
        for count in (1, 3, 8, 31, 100):
            part = np.empty(count, dtype)
            loop(x[start : start + count], part)
            assert np.array_equal(part, whole[start : start + count])
    loop(x[:3] * dtype(np.nan), whole[:3])
    assert np.isnan(whole[:3]).all()


def test_values_that_are_not_finite() -> None:
    edges = np.array([np.nan, np.inf, -np.inf, 0.0], np.float32)
    assert np.array_equal(call("tanh", edges), np.array([np.nan, 1, -1, 0], np.float32), equal_nan=True)
    assert np.array_equal(call("erf", edges), np.array([np.nan, 1, -1, 0], np.float32), equal_nan=True)
    found = call("exp", edges)
    assert np.isnan(found[0])
    assert found[3] == 1
    # Beyond its range exp stays at the ends, so that a quotient of exponentials has no infinity.
    assert np.array_equal(found[1:3], call("exp", np.array([88, -87], np.float32)))
    for name in LOOPS:
        double = call(name, edges.astype(np.float64))
        expected = [EXACT[name](one) for one in edges.tolist()]
        assert np.array_equal(double, expected, equal_nan=True), name


@pytest.mark.parametrize("name", [name for name in CODES if name])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_show_that_a_slot_has_diverged(name: str, dtype: type) -> None:
    """NaN stays NaN, forwards and backwards, in each place of a vector register."""
    code = CODES[name]
    for place in range(17):
        z = np.linspace(-2, 2, 17).astype(dtype)
        z[place] = np.nan
        h, gradient = np.empty_like(z), np.ones_like(z)
        activate(code, z, h)
        assert np.flatnonzero(np.isnan(h)).tolist() == [place]
        differentiate(code, gradient, z if name == "gelu" else h)
        if name in ("tanh", "gelu"):
            assert np.flatnonzero(np.isnan(gradient)).tolist() == [place]
        gradient[:] = np.nan
        differentiate(code, gradient, np.ones_like(z))
        assert np.isnan(gradient).all()


@pytest.mark.parametrize("name", [name for name in CODES if name])
def test_activations_have_the_same_bits_in_every_place(name: str) -> None:
    generator = np.random.default_rng(0)
    z, slope = (generator.normal(0, 2, 77).astype(np.float32) for _ in range(2))

    def both(part: slice) -> tuple[Array, Array]:
        h, gradient = z[part].copy(), slope[part].copy()
        activate(CODES[name], z[part], h)
        differentiate(CODES[name], gradient, z[part] if name == "gelu" else h)
        return h, gradient

    whole = both(slice(0, 77))
    for start in range(20):
        for count in (1, 7, 16, 33, 57):
            part = slice(start, start + count)
            for found, expected in zip(both(part), whole, strict=True):
                assert np.array_equal(found, expected[part])


def reference(name: str) -> Callable[[Array], Array]:
    normal = np.vectorize(lambda z: 0.5 * (1 + math.erf(z / math.sqrt(2))))
    return {
        "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "gelu": lambda z: z * normal(z),
    }[name]


@pytest.mark.parametrize("name", [name for name in CODES if name])
def test_activations_in_float32_are_exact_to_a_few_units(name: str) -> None:
    z = np.linspace(-4, 4, 4001).astype(np.float32)
    h, gradient = np.empty_like(z), np.ones_like(z)
    activate(CODES[name], z, h)
    differentiate(CODES[name], gradient, z if name == "gelu" else h)
    exact, step = reference(name), 1e-5
    assert np.abs(h - exact(z.astype(np.float64))).max() < 1e-6
    inner = np.abs(z) > 2 * step  # the slope of relu jumps at 0
    slope = (exact(z.astype(np.float64) + step) - exact(z.astype(np.float64) - step)) / (2 * step)
    assert np.abs(gradient - slope)[inner].max() < 2e-6
