"""Tests of the scaling against numpy's statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from search.data.scaling import Scaling, fit
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
