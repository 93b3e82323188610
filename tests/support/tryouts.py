"""A technique with given hooks, tried in a study, and hooks that several tests use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from search import Numeric, Study, Technique
from search.technique import Batch, Values
from search.technique.guarded import guarded
from search.train.crew import one_thread
from search.tryout.tryout import try_technique


def tried(
    dataset: str = "wine", hyperparameters: Mapping[str, Any] | None = None, replicates: int = 1, **hooks: Any
) -> str:
    """Try a technique with these hooks, and a strength called `mine`, and return the note on it."""
    declared = {"mine": Numeric(low=0.1, high=1.0, neutral=0.0), **(hyperparameters or {})}
    given = guarded(Technique(name="mine", hyperparameters=declared, **hooks))
    study = Study(
        "baseline", dataset=dataset, techniques=[given], device="cpu", tracking_uri=None, replicates=replicates
    )
    with one_thread():
        return try_technique(given, study)


def strength(values: Values) -> Tensor:
    return values["mine"][:, None, None]


def in_training(change: Any) -> Any:
    """Return a `layer` hook that changes hidden activations in training."""

    def layer(h: Tensor, number: int, values: Values) -> Tensor:
        result: Tensor = change(h, values) if number and values.train else h
        return result

    return layer


def adversarial(shared: bool) -> Any:
    """Return a `loss` hook that trains on inputs changed along the sign of their gradient (FGSM)."""

    def cost(batch: Batch, predictions: Tensor) -> Tensor:
        return (
            -(F.log_softmax(predictions[..., : batch.outputs], -1) * batch.targets[..., : batch.outputs])
            .sum(-1)
            .mean(1)
        )

    def loss(batch: Batch, values: Values) -> Tensor:
        x = (batch.x if shared else values.per_slot(batch.x)).detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(cost(batch, batch.forward(x)).sum(), x)
        moved = (x + 0.1 * gradient.sign()).detach()
        return values["mine"] * cost(batch, batch.forward(moved))

    return loss


def half_of_the_first(gradient: Tensor, _weights: Tensor, values: Values) -> None:
    gradient[0] *= 1 - 0.5 * values["mine"][0]
