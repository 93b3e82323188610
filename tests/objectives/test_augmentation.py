"""Augmentation agrees with torchvision's own operations for the same drawn parameters."""

from __future__ import annotations

from dataclasses import replace
from math import floor
from pathlib import Path

import pytest
import torch
from reference import Draws, stored
from support.data import random_images
from support.packs import Fixed, adam, make_pack
from torch import Tensor

from search import Study
from search.data import Data
from search.errors import RequestError
from search.recipe.discovery import discover
from search.technique import Numeric, Technique
from search.train import streams

NEUTRAL = {"shift": 0.0, "flip": 0.0, "crop": 0.0, "noise": 0.0, "spy": 1.0}
BATCH = 64


def augmented(data: Data, slots: list[dict[str, float]]) -> Tensor:
    """Return an epoch's only minibatch after augmentation, as pixels: ``slots x batch x padded features``."""
    seen: list[Tensor] = []

    def look(x: Tensor, _values: object) -> Tensor:
        seen.append(x)
        return x

    spy = Technique(name="spy", hyperparameters={"spy": Numeric()}, input=look)
    pack = make_pack(
        data,
        [adam() | NEUTRAL | slot for slot in slots],
        dtype=torch.float64,
        techniques=[discover()["augmentation"], spy],
        batch_size=BATCH,
    )
    pack.run_epoch()
    (x,) = seen
    return x


def original(data: Data) -> Tensor:
    """Return the minibatch before augmentation."""
    order = streams.permutation(streams.key(0, 0, "order", 0), BATCH)
    return data.inputs.invert(data.x_train).double()[order] / 16


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 5)])
@pytest.mark.parametrize(
    "strengths",
    [
        {},
        {"shift": 0.4},
        {"flip": 0.5},
        {"crop": 0.7},
        {"noise": 0.2},
        {"shift": 0.9, "flip": 0.3, "crop": 0.99, "noise": 0.1},
    ],
    ids=lambda strengths: "+".join(strengths) or "none",
)
def test_equals_torchvision(shape: tuple[int, int, int], strengths: dict[str, float]) -> None:
    v2 = pytest.importorskip("torchvision.transforms.v2.functional")
    exact = pytest.importorskip("torchvision.transforms.v2").InterpolationMode.NEAREST_EXACT
    data = random_images(BATCH, shape)
    channels, height, width = shape
    features = channels * height * width
    # The first slot is a neighbour with other values; the second is tested.
    made = augmented(data, [{"shift": 0.2, "flip": 0.5, "crop": 0.5, "noise": 0.3}, strengths])[1]
    draws = Draws(0, 0, torch.float64)
    geometry = draws.uniform("augmentation", "geometry", 6, BATCH).T.tolist()
    noise = draws.normal("augmentation", "noise", BATCH, stored(features))[:, :features].view(BATCH, *shape)
    value = NEUTRAL | strengths
    for index, (pixels, (down, right, smaller, top, left, mirror)) in enumerate(
        zip(original(data), geometry, strict=True)
    ):
        image = pixels.view(shape)
        sides = [max(1, round((1 - value["crop"] * smaller) * length)) for length in (height, width)]
        y, x = (
            floor(draw * (length - side + 1))
            for draw, length, side in zip((top, left), (height, width), sides, strict=True)
        )
        image = v2.resized_crop(image, y, x, *sides, size=[height, width], interpolation=exact)
        if mirror < value["flip"]:
            image = v2.horizontal_flip(image)
        offset = [round((2 * right - 1) * value["shift"] * width), round((2 * down - 1) * value["shift"] * height)]
        image = v2.affine(image, angle=0.0, translate=offset, scale=1.0, shear=[0.0, 0.0])
        image = (image + value["noise"] * noise[index]).clamp(0, 1)
        assert torch.allclose(made[index, :features], image.flatten(), rtol=0, atol=1e-12), index
    assert not made[:, features:].any()


def test_twice_the_shift_is_twice_as_far_in_the_same_direction() -> None:
    """One bright pixel in the middle of 41 x 41 black ones moves in proportion to the shift."""
    data = random_images(BATCH, (1, 41, 41))
    raw = torch.zeros_like(data.x_train)
    raw[:, 41 * 20 + 20] = 16
    data = replace(data, x_train=data.inputs.apply(raw))
    once, twice = augmented(data, [{"shift": 0.2}, {"shift": 0.4}])[..., : 41 * 41].argmax(-1)
    for direction in (lambda place: place // 41 - 20, lambda place: place % 41 - 20):
        near, far = direction(once), direction(twice)
        assert near.amax() == 8
        assert near.amin() == -8
        # Each shift is rounded to the nearest pixel.
        assert ((far - 2 * near).abs() <= 1).all()


def test_pixels_of_a_channel_have_one_scale(tmp_path: Path) -> None:
    """Digits are standardised pixel by pixel, which is wrong once pixels are moved, so they are scaled anew."""
    where = {"storage": f"sqlite:///{tmp_path}/study.db", "tracking_uri": None}
    study, unit = Study("l2+augmentation", **where), Study("augmentation", data={"scale": "unit"}, **where)  # type: ignore[arg-type]
    for part in ("x_train", "x_val", "x_test"):
        assert torch.allclose(getattr(study.data, part), getattr(unit.data, part), rtol=0, atol=1e-6)
    assert torch.equal(study.data.inputs.scale, unit.data.inputs.scale)
    assert torch.equal(study.data.inputs.shift, unit.data.inputs.shift)
    # Data with one scale already are left as they are, to the bit.
    same = random_images(BATCH)
    assert discover()["augmentation"].prepare(same, Fixed(same, {}, [], "cross_entropy")) is same  # type: ignore[misc]


@pytest.mark.parametrize("dataset", ["wine", "breast-cancer"])
def test_what_is_no_image_is_refused(dataset: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=f"augmentation needs images; {dataset} has .* features that are not pixels"):
        Study("augmentation", dataset=dataset, storage=f"sqlite:///{tmp_path}/study.db", tracking_uri=None)
    # With all strengths at 0 it needs no images.
    rest = {"shift": 0.0, "crop": 0.0, "noise": 0.0}
    Study("augmentation", dataset=dataset, storage=f"sqlite:///{tmp_path}/study.db", tracking_uri=None, set=rest)
