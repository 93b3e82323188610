"""Products that all slots share, as on a GPU, are those of one slot after the other; here on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from support.packs import adam, close, make_pack, train_pack, with_engine
from torch import Tensor

from search.data import Data
from search.recipe.discovery import discover
from search.technique.layout import Layout
from search.train import network
from search.train.batched_products import BatchedProducts
from search.train.losses import CLASSIFICATION
from search.train.torch_products import TorchProducts

MakeData = Callable[..., Data]
LAYOUT = Layout((13, 12, 3))
SLOTS, BATCH = 3, 5
GROUPS = (slice(0, 2), slice(2, 3))
TRAINED: Mapping[str, tuple[Sequence[str], Mapping[str, float], Mapping[str, object]]] = {
    "layers": ([], {}, {"hidden": "12x20"}),
    "several passes": (["consistency"], {"consistency": 1.0, "sigma": 0.1}, {}),
    "inputs of each slot": (["input_dropout"], {"input_dropout": 0.2}, {}),
    "gradient in the inputs": (["adversarial"], {"adversarial": 0.1}, {}),
    "networks that share weights": (["weight_sharing"], {}, {"members": 2}),
}


@pytest.mark.parametrize("case", TRAINED)
def test_they_train_the_same(make_data: MakeData, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    names, values, structure = TRAINED[case]
    slots = [adam(1e-3 * (1 + slot), **values) for slot in range(SLOTS)]
    trained = []
    for products in (TorchProducts, BatchedProducts):
        monkeypatch.setattr(network, "TorchProducts", products)
        pack = make_pack(
            make_data(100, 13, 3),
            slots,
            techniques=[discover()[name] for name in names],
            replicates=(0, 3),
            dtype=torch.float64,
            **structure,  # type: ignore[arg-type]
        )
        trained.append(train_pack(with_engine(pack, "torch"), 2))
    one, other = trained
    assert close(one.pack.state["theta"], other.pack.state["theta"], 1e-10)
    for a, b in zip(one.curves, other.curves, strict=True):
        assert all(torch.allclose(a[name], b[name], rtol=1e-10) for name in a)


def products(theta: Tensor, gradient: Tensor, compute: torch.dtype) -> BatchedProducts:
    loss = CLASSIFICATION["cross_entropy"]
    return BatchedProducts(LAYOUT, "relu", loss, 3, theta, gradient, GROUPS, compute)


def test_gradients_go_where_they_belong_and_nowhere_else() -> None:
    """The first pass of a step overwrites, the second one adds; a slot's inputs may be its own or its group's."""
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(SLOTS, LAYOUT.size, generator=generator, dtype=torch.float64)
    gradient = torch.full_like(theta, 7.0)
    x = torch.randn(len(GROUPS), BATCH, 16, generator=generator, dtype=torch.float64)
    slope = torch.randn(SLOTS, BATCH, 16, generator=generator, dtype=torch.float64)
    batched = products(theta, gradient, torch.float64)
    batched.begin()
    out, kept = batched.forward(1, 2, x)
    expanded = x[[0, 0, 1]]
    for passes in (1, 2):
        batched.backward(1, 2, x if passes == 1 else expanded, kept, slope, needs_input=False)
        weight, bias = LAYOUT.view(gradient, LAYOUT.weight(1)), LAYOUT.view(gradient, LAYOUT.bias(1))
        for slot in range(SLOTS):
            torch.testing.assert_close(weight[slot], passes * expanded[slot].T @ slope[slot])
        torch.testing.assert_close(bias, passes * slope.sum(1))
        assert (gradient[:, : LAYOUT.weight(1).offset] == 7.0).all()
    torch.testing.assert_close(
        out[2], x[1] @ LAYOUT.view(theta, LAYOUT.weight(1))[2] + LAYOUT.view(theta, LAYOUT.bias(1))[2]
    )


def test_bfloat16_keeps_its_gradients_in_float32() -> None:
    """Only a GPU has such products; without numbers torch says what types it would take and give."""
    theta = torch.empty(SLOTS, LAYOUT.size, device="meta")
    gradient = torch.empty_like(theta)
    batched = products(theta, gradient, torch.bfloat16)
    batched.begin()
    x = torch.empty(len(GROUPS), BATCH, 16, device="meta", dtype=torch.bfloat16)
    out, kept = batched.forward(0, 2, x)
    assert out.dtype == torch.bfloat16
    for _ in range(2):
        into = batched.backward(0, 2, x, kept, torch.empty_like(out), needs_input=True)
        assert into is not None
        assert into.dtype == torch.bfloat16
    assert gradient.dtype == torch.float32


def test_what_slots_share_is_cast_once() -> None:
    """Inputs that are expanded without a copy stay so in bfloat16, with the values of a cast of each copy."""
    generator = torch.Generator().manual_seed(0)
    given: list[Tensor] = []

    class Seeing(BatchedProducts):
        def predict(self, first: int, last: int, x: Tensor) -> Tensor:
            given.append(x)
            return super().predict(first, last, x)

    theta = torch.randn(SLOTS, LAYOUT.size, generator=generator)
    loss = CLASSIFICATION["cross_entropy"]
    seeing = Seeing(LAYOUT, "relu", loss, 3, theta, torch.empty_like(theta), GROUPS, torch.bfloat16)
    x = torch.randn(BATCH, 16, generator=generator)
    with torch.no_grad():
        network.Network(seeing, LAYOUT.layers, theta, (), lambda grouped: grouped)(x.expand(len(GROUPS), -1, -1))
    (cast,) = given
    assert cast.untyped_storage().nbytes() == x.numel() * 2
    assert torch.equal(cast, x.expand(len(GROUPS), -1, -1).bfloat16())
