"""Tests of line and polynomial: the moments of the noise, the independence of the parts, and refused options."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from search.data import Data, load
from search.errors import RequestError


def raw(dataset: str, **options: Any) -> Data:
    return load(dataset, scale="none", options=options)


def xy(data: Data, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    assert data.targets is not None
    y = data.targets.invert(getattr(data, f"y_{part}"))
    return getattr(data, f"x_{part}").double().numpy()[:, 0], y.double().numpy()[:, 0]


def test_without_noise_a_line_is_a_line() -> None:
    x, y = xy(raw("line", slope=-3.0, intercept=2.0, sigma=0, n=200))
    np.testing.assert_allclose(y, -3 * x + 2, atol=1e-4)


def test_without_noise_a_polynomial_has_its_highest_power_first() -> None:
    x, y = xy(raw("polynomial", coefficients=[2, -1, 0.5, 3], sigma=0, n=200, range=2))
    np.testing.assert_allclose(y, np.polyval([2, -1, 0.5, 3], x), atol=1e-4)


def test_x_fills_the_range_evenly() -> None:
    x, _ = xy(raw("line", sigma=0, n=20_000, range=3))
    assert -3 <= x.min() < -2.99
    assert 2.99 < x.max() <= 3
    counts, _ = np.histogram(x, bins=10, range=(-3, 3))
    assert np.abs(counts - 2000).max() < 5 * math.sqrt(2000)


def test_y_has_noise_of_deviation_sigma_around_the_intercept() -> None:
    x, y = xy(raw("line", slope=0, intercept=7, sigma=2, n=100_000))
    assert y.mean() == pytest.approx(7, abs=5 * 2 / math.sqrt(100_000))
    assert y.std() == pytest.approx(2, rel=0.012)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / math.sqrt(100_000)


@pytest.mark.parametrize("sigma", [2.0, 20.0, 50.0])
def test_noise_in_x_flattens_the_best_fit_by_the_attenuation_factor(sigma: float) -> None:
    x, y = xy(raw("line", slope=1.5, sigma=sigma, n=200_000, range=50))
    variance = 50**2 / 3
    assert x.var() == pytest.approx(variance + sigma**2, rel=0.012)
    slope = np.cov(x, y)[0, 1] / x.var()
    assert slope == pytest.approx(1.5 * variance / (variance + sigma**2), rel=0.015)


def test_the_defaults_can_be_learnt() -> None:
    x, y = xy(load("polynomial", scale="none", options={"n": 5000}))
    residual = y - np.polyval(np.polyfit(x, y, 2), x)
    assert residual.var() / y.var() < 0.05
    x, y = xy(load("line", scale="none", options={"n": 5000}))
    assert np.corrcoef(x, y)[0, 1] > 0.99


def test_parts_have_the_rows_of_the_training_set_unless_told() -> None:
    data = load("line")
    assert [len(data.x_train), len(data.x_val), len(data.x_test)] == [100, 100, 100]
    data = load("polynomial", options={"n": 5, "n_val": 7, "n_test": 9})
    assert [len(data.y_train), len(data.y_val), len(data.y_test)] == [5, 7, 9]
    assert data.y_train.shape == (5, 1)
    assert data.x_train.dtype == data.y_train.dtype == torch.float32


def test_the_parts_are_independent_draws() -> None:
    data = raw("line", n=2000, sigma=1)
    draws = [xy(data, part)[0] for part in ("train", "val", "test")]
    # In float32 a few of 2,000 draws may be equal by chance; in a reordered copy all would be.
    assert len(set(draws[0]) & set(draws[1])) < 20
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 5 / math.sqrt(2000)


def test_more_validation_rows_leave_the_other_parts_as_they_are() -> None:
    small, large = load("line"), load("line", options={"n_val": 500})
    for name in ("x_train", "y_train", "x_test", "y_test"):
        assert torch.equal(getattr(small, name), getattr(large, name))


def test_standardised_from_the_training_draw() -> None:
    data = load("line")
    for tensor in (data.x_train, data.y_train):
        assert tensor.mean().item() == pytest.approx(0, abs=1e-6)
        assert tensor.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert abs(data.x_val.mean().item()) > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 1}, "dataset polynomial: n must be a whole number from 2 to 10000000, got 1"),
        ({"n": 2.5}, "n must be a whole number .*got 2.5"),
        ({"n": True}, "n must be a whole number .*got True"),
        ({"n_val": 0}, "n_val must be a whole number .*got 0"),
        ({"n_test": 10**12}, "n_test must be a whole number .*got 1000000000000"),
        ({"sigma": -1}, "dataset polynomial: sigma must be >= 0, got -1"),
        ({"sigma": math.nan}, "sigma must be a finite number, got nan"),
        ({"sigma": "2"}, "sigma must be a finite number, got '2'"),
        ({"range": 0}, "range must be > 0, got 0"),
        ({"coefficients": []}, r"coefficients must be a list of numbers, highest power first, got \[\]"),
        ({"coefficients": 3}, "coefficients must be a list of numbers, highest power first, got 3"),
        ({"coefficients": [1, math.inf]}, "each of coefficients must be a finite number, got inf"),
        ({"coefficients": [1e300, 0]}, "dataset polynomial: these options give values too large for float32"),
        ({"coefs": [1]}, "unknown option of dataset polynomial 'coefs': did you mean 'coefficients'"),
        ({"slope": 1}, "unknown option of dataset polynomial 'slope'"),
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load("polynomial", options=options)


def test_a_line_refuses_a_slope_that_is_no_number() -> None:
    with pytest.raises(RequestError, match="dataset line: slope must be a finite number, got 'steep'"):
        load("line", options={"slope": "steep"})
