"""Consistency: the noise in the second pass, equal bits at sizes that threads share, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.data import random_images
from support.packs import adam, make_pack
from support.small_studies import small

from search.data import Data
from search.errors import RequestError
from search.recipe.discovery import discover
from search.technique import Technique, Values
from search.train.pack import Pack

MakeData = Callable[..., Data]
CONSISTENCY = discover()["consistency"]


def seen(data: Data, *sigmas: float) -> list[torch.Tensor]:
    """Return the inputs of the first layer in each forward pass of one step: the clean ones, then the noisy ones."""
    given: list[torch.Tensor] = []

    def look(h: torch.Tensor, number: int, values: Values) -> torch.Tensor:
        if number == 0 and values.train:
            given.append(h.detach().clone())
        return h

    slots = [adam(consistency=1.0, sigma=sigma) for sigma in sigmas]
    techniques = [Technique(name="look", layer=look), CONSISTENCY]
    make_pack(data, slots, techniques=techniques, batch_size=len(data.x_train), consistency_distance="mse").run_epoch()
    return given


def test_pixels_get_their_noise_as_pixels_and_stay_pixels() -> None:
    """Pixels 0 to 16 are scaled by mean 8 and SD 4, so noise of SD s in [0, 1] has SD 4 s in the network's inputs."""
    clean, noisy = seen(random_images(400), 0.02, 0.5)
    assert clean.shape == (1, 400, 32)
    assert noisy.shape == (2, 400, 32)
    assert torch.equal(noisy[..., 30:], torch.zeros(2, 400, 2))
    assert noisy.min() == -2.0
    assert noisy.max() == 2.0
    inside = (clean[0] > -1.6) & (clean[0] < 1.6)
    inside[:, 30:] = False
    assert (noisy[0] - clean[0])[inside].std().item() == pytest.approx(4 * 0.02, rel=0.02)
    # All slots have the same draws: stronger noise moves every pixel farther in the same direction.
    assert ((noisy[1] - clean[0])[inside] * (noisy[0] - clean[0])[inside] >= 0).all()


def test_other_features_get_it_as_they_are_scaled(make_data: MakeData) -> None:
    clean, noisy = seen(make_data(400, 13, 3), 0.1, 3.0)
    for slot, sigma in enumerate((0.1, 3.0)):
        assert (noisy[slot] - clean[0])[:, :13].std().item() == pytest.approx(sigma, rel=0.02)
    assert torch.equal(noisy[..., 13:], torch.zeros(2, 400, 3))
    assert noisy[1].abs().max() > 5


@pytest.mark.parametrize("distance", ["mse", "l1", "bce", "kl"])
def test_bits_where_threads_share_a_tensor(make_data: MakeData, distance: str) -> None:
    data = make_data(128 + 105, 13, 10)
    slots = [adam(1e-2, consistency=0.1 * slot, sigma=0.05 * slot) for slot in range(33)]

    def trained(some: list[dict[str, float]]) -> Pack:
        pack = make_pack(data, some, techniques=[CONSISTENCY], batch_size=128, consistency_distance=distance)
        for _ in range(2):
            pack.run_epoch()
        return pack

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        wide = trained(slots)
        for threads in (1, 3):
            torch.set_num_threads(threads)
            for slot in (0, 1, 10, 21, 32):
                alone = trained([slots[slot]]).weights(0)
                for name, weight in wide.weights(slot).items():
                    assert torch.equal(weight, alone[name]), (slot, threads, name)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("distance", ["bce", "kl"])
def test_only_classes_have_probabilities(tmp_path: Path, distance: str) -> None:
    changes = {
        "techniques": ["consistency"],
        "data": {"dataset": "diabetes"},
        "set": {"consistency_distance": distance},
        "space": {},
    }
    with pytest.raises(RequestError, match=f"consistency_distance {distance} is for classification"):
        small(tmp_path, **changes)
    small(tmp_path, **changes | {"set": {"consistency_distance": "l1"}})
