"""Tests of .npz files: their tensors equal those of the data set they were written from, and faults are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from search.data import load
from search.errors import RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def arrays(rows: int = 20, **change: Any) -> None:
    rng = np.random.default_rng(0)
    found = {"x": rng.normal(size=(rows, 3)).astype(np.float32), "y": rng.integers(0, 2, rows)} | change
    np.savez("own.npz", **{name: array for name, array in found.items() if array is not None})


def test_the_digits_written_to_arrays_are_the_digits() -> None:
    bunch, known = load_digits(), load("digits")
    np.savez_compressed("own.npz", x=bunch.images, y=bunch.target)
    own = load("own.npz")
    assert own.fingerprint() == known.fingerprint()
    assert (own.image_shape, own.classes, own.pixel_max) == ((1, 8, 8), known.classes, None)


@pytest.mark.parametrize(
    ("shape", "image_shape"),
    [
        ((6, 5), (1, 6, 5)),
        ((6, 5, 3), (3, 6, 5)),
        ((3, 6, 5), (3, 6, 5)),
        ((1, 6, 5), (1, 6, 5)),
        ((3, 5, 3), (3, 3, 5)),  # the last axis is preferred
    ],
)
def test_bytes_are_pixels(shape: tuple[int, ...], image_shape: tuple[int, int, int]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (20, *shape), dtype=np.uint8)
    y = np.arange(20) * 0.5
    np.savez("own.npz", x=x, y=y)
    data = load("own.npz", scale="none")
    assert (data.image_shape, data.pixel_max) == (image_shape, 255.0)
    first_channel = x[7] if len(shape) == 2 else x[7, ..., 0] if shape[-1] == 3 else x[7, 0]
    assert data.targets is not None
    everything = torch.cat([data.x_train, data.x_val, data.x_test])
    order = data.targets.invert(torch.cat([data.y_train, data.y_val, data.y_test]))[:, 0] * 2
    row = everything[order.round() == 7][0].view(image_shape)
    assert torch.equal(row[0], torch.from_numpy(first_channel).float())
    assert load("own.npz", scale="unit").x_train.max() == 1
    by_channel = load("own.npz").inputs.shift.view(image_shape[0], -1)
    assert all(len(channel.unique()) == 1 for channel in by_channel)


def test_arrays_with_a_test_part_keep_it() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (30, 4), dtype=np.uint8), np.array(["b", "a", "c"] * 10)
    np.savez("own.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    data = load("own.npz", scale="none")
    assert (len(data.x_train), len(data.x_val)) == (17, 3)
    assert data.x_test.tolist() == x[20:].tolist()
    assert [data.classes[label] for label in data.y_test] == y[20:].tolist()
    halves = load("own.npz", scale="none", validation="half-of-test")
    assert halves.x_train.tolist() == x[:20].tolist()
    assert sorted(halves.x_val.tolist() + halves.x_test.tolist()) == sorted(x[20:].tolist())
    same = load("own.npz", scale="none", validation="test")
    assert torch.equal(same.x_val, same.x_test)
    arrays()
    with pytest.raises(RequestError, match="validation 'test' needs data with a test part"):
        load("own.npz", validation="test")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": None}, "it has no y .it has: x"),
        ({"z": np.zeros(3)}, "it has others too, which none of .* names .it has: x, y, z"),
        ({"x": None, "x_train": np.zeros((20, 3))}, "it has no y_train, x_test, y_test"),
        ({"y": np.zeros(19)}, "x is 20 x 3 and y is 19: each row of x needs a y"),
        ({"y": np.float64(3)}, "y is a single number: each row of x needs a y"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0)}, "x has no rows"),
        ({"x": np.zeros((20, 0))}, "must be rows x features, or images, got 20 x 0"),
        ({"x": np.zeros(20)}, "must be rows x features, or images, got 20$"),
        ({"x": np.zeros((20, 5, 5, 2))}, "must hold images of 1, 3 or 4 channels, got 20 x 5 x 5 x 2"),
        ({"x": np.zeros((20, 3), complex)}, "x must hold numbers, got complex128"),
        ({"x": np.full((20, 3), "a")}, "x must hold numbers, got <U1"),
        ({"x": np.full((20, 3), np.nan)}, "x: feature 1 is missing in row 1"),
        ({"x": np.full((20, 3), np.inf)}, "x: feature 1 is infinite in row 1"),
        ({"x": np.arange(60).reshape(20, 3) + 2**60}, "has whole numbers from 2.53 on that are too close"),
        ({"y": np.arange(20) + np.nan}, "y is missing in row 1"),
        ({"y": np.zeros(20)}, "y is '0' in every row"),
        ({"y": np.zeros((20, 2))}, "y is 0.0 in every row"),
        ({"y": np.zeros(20, complex)}, "y must hold numbers or text, got complex128"),
        ({"y": np.zeros((20, 2, 2))}, "got shape"),
        ({"y": np.array(["a", "b"] * 10).astype(object)}, "y holds Python objects, which could run code"),
    ],
)
def test_what_is_wrong_with_arrays_is_named(change: dict[str, Any], says: str) -> None:
    arrays(**change)
    with pytest.raises(RequestError, match=says):
        load("own.npz")
