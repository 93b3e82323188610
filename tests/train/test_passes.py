"""A technique that differentiates by itself in its `loss` hook changes no gradient of the weights but by its term."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from reference import Draws, train
from support.data import random_data
from support.packs import adam, agree, make_pack, train_pack, with_engine
from torch import Tensor
from torch.nn import functional as F

from search.technique import Batch, Numeric, Technique, Values
from search.train.engine import Engine

SIZE = 0.1


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean loss over a minibatch, ``(slots,)``, of logits and targets ``slots x batch x classes``."""
    return -(logits.log_softmax(-1) * targets).sum(-1).mean(-1)


def _adversarial(batch: Batch, values: Values, *, twice: bool = False) -> Tensor:
    """Return the loss of examples changed along the sign of their gradient, as a user may write it."""
    targets = batch.targets[..., : batch.outputs]
    x = values.per_slot(batch.x).clone().requires_grad_()
    clean = _loss(batch.forward(x)[..., : batch.outputs], targets)
    (slope,) = torch.autograd.grad(clean.sum(), x, create_graph=twice)
    changed = (
        slope.square().sum((1, 2))
        if twice
        else _loss(batch.forward((x + SIZE * slope.sign()).detach())[..., : batch.outputs], targets)
    )
    return values["own"] * changed


def _technique(loss: Callable[[Batch, Values], Tensor]) -> Technique:
    return Technique("own", hyperparameters={"own": Numeric(low=0.0, high=1.0, neutral=0.0)}, loss=loss)


def _plain(own: float) -> dict[str, Any]:
    """Return the same for `reference.train`."""
    truth: list[Tensor] = []

    def targets(one_hot: Tensor) -> Tensor:
        truth.append(one_hot)
        return one_hot

    def extra_loss(forward: Callable[[Tensor], Tensor], features: Tensor, _out: Tensor) -> Tensor:
        x = features.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(forward(x), truth[-1]), x)
        return own * F.cross_entropy(forward(x.detach() + SIZE * slope.sign()), truth[-1])

    return {"targets": targets, "extra_loss": extra_loss, "draws": Draws(0, 0, torch.float64)}


@pytest.mark.parametrize("engine", ["torch", "compiled"])
def test_an_adversarial_loss_of_ones_own_is_that_of_plain_torch(engine: Engine) -> None:
    data = random_data(100, 13, 3)
    slots = [{**adam(2e-3), "own": 0.7}, {**adam(2e-3), "own": 0.2}]
    pack = make_pack(data, slots, techniques=[_technique(_adversarial)], dtype=torch.float64, hidden="12x20")
    trained = train_pack(with_engine(pack, engine))
    for slot, values in enumerate(slots):
        model, curves = train(
            data,
            widths=(13, 12, 20, 3),
            epochs=3,
            batch_size=32,
            optimiser=lambda parameters: torch.optim.Adam(parameters, lr=2e-3),
            **_plain(values["own"]),
        )
        agree(trained, slot, model, curves)


def test_a_gradient_of_a_gradient_is_refused() -> None:
    """The engine's layers have no second derivative, so a term of a first one must not go on in silence."""

    def penalised(batch: Batch, values: Values) -> Tensor:
        return _adversarial(batch, values, twice=True)

    pack = make_pack(random_data(40, 5, 3), [{**adam(), "own": 0.5}], techniques=[_technique(penalised)])
    with pytest.raises(RuntimeError, match="differentiate twice"):
        pack.run_epoch()
