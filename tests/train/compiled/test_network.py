"""The compiled network has the losses and gradients of torch's autograd, for every activation, loss and depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.networks import ACTIVATIONS, LOSSES, Case
from support.packs import close
from torch import Tensor

from search.train import losses
from search.train.batches import Targets
from search.train.compiled.kernels import BLOCK

HIDDEN: list[tuple[int, ...]] = [(), (12,), (17, 20), (16, 5, 33)]


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_learn_is_autograd(activation: str, loss: str, hidden: tuple[int, ...]) -> None:
    for sizes, per_slot in (((3,), False), ((2, 1, 2), False), ((2, 1), True)):
        case = Case((13, *hidden, 3), activation, loss, sizes, per_slot=per_slot)
        gradient, total = case.learned()
        expected, expected_total = case.expected()
        assert close(gradient, expected)
        assert torch.allclose(total, expected_total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("joined", [(2,), (3,), (2, 3)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_enters_a_layer_is_added_to_its_activations(activation: str, joined: tuple[int, ...]) -> None:
    case = Case((13, 20, 20, 20, 3), activation, rows=BLOCK + 5, joined=joined)
    gradient, total = case.learned()
    expected, expected_total = case.expected()
    assert close(gradient, expected)
    assert torch.allclose(total, expected_total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("rows", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 44])
def test_any_number_of_rows(rows: int) -> None:
    case = Case((19, 24, 40, 11), "gelu", rows=rows)
    gradient, total = case.learned()
    expected, expected_total = case.expected()
    assert close(gradient, expected)
    assert torch.allclose(total, expected_total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("widths", [(1, 1), (1, 1, 1), (64, 128, 10), (784, 16, 1), (5, 300, 2)])
def test_any_width(widths: tuple[int, ...]) -> None:
    case = Case(widths, "tanh", "mse", rows=20)
    gradient, total = case.learned()
    expected, expected_total = case.expected()
    assert close(gradient, expected)
    assert torch.allclose(total, expected_total, rtol=1e-12, atol=0)


def gates(case: Case, numbers: list[int]) -> tuple[dict[int, Tensor], Tensor, Tensor]:
    """Return draws that the slots of a group share, and each slot's least draw and factor at each place."""
    generator = torch.Generator().manual_seed(3)
    draws = {}
    for number in numbers:
        field = case.layout.weight(number)
        shape = len(case.sizes), case.rows, field.stored[0]
        draws[number] = torch.rand(shape, generator=generator, dtype=case.dtype)
    least = torch.rand(case.slots, case.layout.layers, generator=generator, dtype=case.dtype)
    least[0] = 0
    return draws, least, 1 / (1 - least)


@pytest.mark.parametrize("numbers", [[0], [1], [2], [0, 2], [1, 2], [0, 1, 2]])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("hidden", "joined"), [((12, 20), ()), ((20, 20), (2,))])
def test_gates_are_products_with_masks(
    hidden: tuple[int, ...], joined: tuple[int, ...], activation: str, numbers: list[int]
) -> None:
    case = Case((13, *hidden, 3), activation, gated=True, sizes=(2, 3), rows=BLOCK + 9, joined=joined)
    draws, least, scale = gates(case, numbers)

    def masked(slot: int, number: int, h: Tensor) -> Tensor:
        if number not in draws:
            return h
        drawn = draws[number][case.group_of[slot]][:, : h.shape[1]]
        return h * (drawn >= least[slot, number]) * scale[slot, number]

    at, begin = np.full((case.slots, case.layout.layers), -1), 0
    for number, drawn in draws.items():
        at[:, number] = begin + case.group_of.numpy() * drawn[0].numel()
        begin += drawn.numel()
    flat = torch.cat([drawn.reshape(-1) for drawn in draws.values()])
    given = case.network().gates(flat, at[None], least.numpy()[None], scale.numpy()[None])
    gradient, total = case.learned(given)
    expected, expected_total = case.expected(masked)
    assert close(gradient, expected)
    assert torch.allclose(total, expected_total, rtol=1e-12, atol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_measures_are_those_of_torch(loss: str) -> None:
    case = Case((13, 12, 5), "relu", loss, rows=50)
    network = case.network()
    predictions = network.predict(0, 2, case.x)
    real = predictions[..., :5]
    y = case.y[0]
    if loss == "cross_entropy":
        predictions[0, :7] = 0  # of equal classes the first counts
    scale = None if loss == "cross_entropy" else torch.linspace(1, 3, 16, dtype=torch.float64)
    total, read = torch.ones(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    network.measure(predictions, Targets(y), scale, total, read)
    assert torch.allclose(total, 1 + LOSSES[loss](predictions, y[None], 5).sum(1), rtol=1e-12, atol=0)
    if scale is None:
        assert torch.equal(read, 1 + (real.argmax(-1) == y[:, :5].argmax(-1)).sum(1))
    else:
        assert torch.allclose(read, 1 + losses.squared_error(predictions, y, scale).sum(1), rtol=1e-12, atol=0)


def test_logits_of_any_size_have_a_finite_loss() -> None:
    """The exponentials of large logits neither overflow nor vanish (float32: `elementary.exp` stays in its range)."""
    for dtype in (torch.float32, torch.float64):
        case = Case((13, 3), dtype=dtype, rows=3, sizes=(1,))
        case.theta.zero_()
        bias = case.layout.bias(0)
        case.y[:] = 0
        case.y[..., 1] = 1
        case.layout.view(case.theta, bias)[0, :3] = torch.tensor([1e4, -1e4, 0.0])
        gradient, total = case.learned()
        assert total.tolist() == [3 * 2e4]
        found = case.layout.view(gradient, bias)[0, :3]
        assert torch.allclose(found, torch.tensor([1.0, -1.0, 0.0], dtype=dtype), atol=1e-30)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_slot_that_diverges_says_so(loss: str) -> None:
    case = Case((13, 12, 3), loss=loss, sizes=(3,), dtype=torch.float32)
    calm, calm_total = (each.clone() for each in case.learned())
    case.theta[1, 0] = torch.nan
    gradient, total = case.learned()
    assert not total[1].isfinite()
    assert not gradient[1].isfinite().all()
    for slot in (0, 2):
        assert torch.equal(gradient[slot], calm[slot])
        assert total[slot] == calm_total[slot]
