"""Tests of the scaling against numpy's statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer, RobustScaler

from search.data import load, load_folds
from search.data.scaling import Scaling, fit, quantile_count
from search.errors import RequestError


@pytest.fixture
def train() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(500, 4, generator=generator) * torch.tensor([1.0, 1e-3, 1e4, 7.0]) + torch.tensor(
        [0.0, 5.0, -1e4, 100.0]
    )


def test_standard_is_the_mean_and_the_population_deviation(train: torch.Tensor) -> None:
    scaling = fit("standard", train)
    raw = train.double().numpy()
    np.testing.assert_allclose(scaling.shift.numpy(), raw.mean(axis=0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scaling.scale.numpy(), raw.std(axis=0, ddof=0), rtol=1e-6)


def test_unit_takes_the_training_range_to_0_and_1(train: torch.Tensor) -> None:
    x = fit("unit", train).apply(train)
    torch.testing.assert_close(x.amin(dim=0), torch.zeros(4))
    torch.testing.assert_close(x.amax(dim=0), torch.ones(4))


def test_unit_divides_pixels_by_their_largest_possible_value() -> None:
    pixels = torch.tensor([[0, 51], [102, 51]], dtype=torch.uint8)
    torch.testing.assert_close(fit("unit", pixels, pixel_max=255).apply(pixels), torch.tensor([[0, 0.2], [0.4, 0.2]]))


def test_none_changes_nothing_but_the_type() -> None:
    pixels = torch.tensor([[0, 255], [3, 16]], dtype=torch.uint8)
    x = fit("none", pixels, pixel_max=255, channels=1).apply(pixels)
    assert x.dtype == torch.float32
    assert x.tolist() == [[0.0, 255.0], [3.0, 16.0]]


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_a_constant_feature_keeps_scale_one(scale: str) -> None:
    train = torch.full((7, 2), 0.1)
    train[:, 1] = torch.arange(7)
    scaling = fit(scale, train)
    assert scaling.scale[0] == 1
    assert scaling.apply(train)[:, 0].tolist() == [0.0] * 7
    assert scaling.scale[1] > 1


def test_a_spread_below_float32_counts_as_constant() -> None:
    scaling = fit("unit", torch.tensor([[0.0], [1e-42]]))
    assert scaling.scale.tolist() == [1.0]


def test_channels_share_one_mean_and_deviation() -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (50, 12), dtype=torch.uint8, generator=generator)
    pixels[:, 4:8] //= 4
    scaling = fit("standard", pixels, pixel_max=255, channels=3)
    by_channel = pixels.numpy().reshape(50, 3, 4).astype(np.float64)
    np.testing.assert_allclose(scaling.shift.numpy(), np.repeat(by_channel.mean(axis=(0, 2)), 4), rtol=1e-6)
    np.testing.assert_allclose(scaling.scale.numpy(), np.repeat(by_channel.std(axis=(0, 2)), 4), rtol=1e-6)


def test_a_constant_channel_keeps_scale_one() -> None:
    scaling = fit("standard", torch.full((5, 4), 9, dtype=torch.uint8), pixel_max=255, channels=1)
    assert scaling.shift.tolist() == [9.0] * 4
    assert scaling.scale.tolist() == [1.0] * 4


def test_invert_undoes_apply(train: torch.Tensor) -> None:
    scaling = fit("standard", train)
    error = (scaling.invert(scaling.apply(train)) - train).abs()
    assert bool((error <= 1e-6 * (train.abs() + scaling.scale)).all())


def test_apply_and_invert_leave_their_argument_alone(train: torch.Tensor) -> None:
    before = train.clone()
    scaling = Scaling(torch.full((4,), 2.0), torch.full((4,), 3.0))
    scaling.apply(train)
    scaling.invert(train)
    assert torch.equal(train, before)


def test_an_unknown_scale_is_refused_with_the_nearest_name(train: torch.Tensor) -> None:
    with pytest.raises(RequestError, match="unknown scale 'standart': did you mean 'standard'"):
        fit("standart", train)


def skewed() -> np.ndarray:
    """Columns as tables have them: normal, skewed and large, few values, many zeros."""
    rng = np.random.default_rng(0)
    zeros = np.where(rng.random(900) < 0.4, 0.0, rng.normal(size=900))
    columns = [rng.normal(size=900), rng.exponential(1e4, 900), rng.integers(0, 5, 900), zeros]
    return np.stack(columns, axis=1).astype(np.float32)


def test_robust_is_the_robust_scaler_with_a_smooth_clip() -> None:
    raw = skewed()
    linear = RobustScaler().fit_transform(raw.astype(np.float64))
    found = fit("robust", torch.from_numpy(raw)).apply(torch.from_numpy(raw))
    np.testing.assert_allclose(found.numpy(), linear / np.sqrt(1 + (linear / 3) ** 2), rtol=1e-5, atol=1e-6)


def test_robust_divides_by_half_of_the_range_where_the_quartiles_are_equal() -> None:
    """By hand: of 0, 0, 0, 0, 8 the quartiles are 0, so 8 becomes 8 / 4 = 2, and its clip is 2 / sqrt(1 + 4 / 9)."""
    train = torch.tensor([[0.0], [0.0], [0.0], [0.0], [8.0]])
    x = fit("robust", train).apply(torch.tensor([[0.0], [8.0], [-8.0]]))
    torch.testing.assert_close(x, torch.tensor([[0.0], [6 / 13**0.5], [-6 / 13**0.5]]))


@pytest.mark.parametrize("scale", ["robust", "quantile"])
def test_a_feature_that_was_constant_is_always_0(scale: str) -> None:
    train = torch.stack([torch.full((20,), 7.0), torch.arange(20.0)], dim=1)
    x = fit(scale, train).apply(torch.tensor([[7.0, 3.0], [1e9, 3.0]]))
    assert x[:, 0].tolist() == [0.0, 0.0]
    assert bool(x[:, 1].all())


def test_robust_keeps_the_largest_numbers_within_3() -> None:
    scaling = fit("robust", torch.arange(20.0)[:, None] * 1e-30)
    assert scaling.apply(torch.tensor([[3e38], [-3e38]])).flatten().tolist() == pytest.approx([3.0, -3.0])


def test_quantile_is_the_quantile_transformer() -> None:
    raw = skewed()
    transformer = QuantileTransformer(n_quantiles=30, subsample=None, output_distribution="normal")
    transformer.fit(raw.astype(np.float64))
    # New rows lie between the training rows, at their ends and beyond them.
    rows = np.concatenate([raw, raw * 1.3 + 0.01, [[1e30] * 4, [-1e30] * 4]]).astype(np.float32)
    found = fit("quantile", torch.from_numpy(raw)).apply(torch.from_numpy(rows))
    np.testing.assert_allclose(found.numpy(), transformer.transform(rows.astype(np.float64)), atol=1e-5)


@pytest.mark.parametrize(("rows", "count"), [(1, 2), (4, 4), (200, 10), (900, 30), (10**6, 1000)])
def test_there_is_a_quantile_for_each_30_rows(rows: int, count: int) -> None:
    assert quantile_count(rows) == count


def test_quantile_keeps_an_indicator_as_0_and_1() -> None:
    train = torch.tensor([[0.0, 3.0], [1.0, 3.0], [0.0, 9.0], [0.0, 3.0]])
    assert fit("quantile", train).apply(train).tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize("scale", ["robust", "quantile"])
def test_a_nonlinear_scaling_is_inverted_within_the_training_rows(scale: str) -> None:
    raw = torch.from_numpy(skewed())
    scaling = fit(scale, raw)
    torch.testing.assert_close(scaling.invert(scaling.apply(raw)), raw, rtol=1e-4, atol=1e-3)


def test_scalings_differ_by_their_nonlinear_map(train: torch.Tensor) -> None:
    robust = fit("robust", train)
    assert robust.equals(fit("robust", train))
    assert not robust.equals(Scaling(robust.shift, robust.scale))
    assert not fit("quantile", train).equals(fit("quantile", train + torch.arange(4.0)))


@pytest.mark.parametrize("scale", ["robust", "quantile"])
def test_each_fold_is_scaled_by_its_own_training_rows(scale: str) -> None:
    raw, scaled = (load_folds("wine", folds=3, scale=one) for one in ("none", scale))
    for before, after in zip(raw, scaled, strict=True):
        assert torch.equal(fit(scale, before.x_train).apply(before.x_val), after.x_val)
    assert not scaled[0].inputs.equals(scaled[1].inputs)


def test_pixels_are_refused() -> None:
    with pytest.raises(RequestError, match="digits has pixels, and scale 'robust' is for numbers"):
        load("digits", scale="robust")
