"""Early stopping ends the training of a slot once its validation loss has not improved for some epochs.

An epoch improves if ``L < best - min_delta``, where L is the validation loss or, in a study with another first
objective, that objective with the sign that makes less of it better. A slot stops after `patience` epochs in a row that
do not improve, and a trial ends when all its replicates have stopped. The value of a trial is defined as without early
stopping: the objective at the best epoch (contract C8, docs/design.md). Early stopping saves the epochs after the stop.

Shapes: L and both hyperparameters are ``(slots,)``. Hyperparameters searched: `patience`, in epochs;
`min_delta` is 0 unless a study sets or searches it.

Source: Prechelt, "Early stopping - but when?" (1998); the rule is that of Keras' and Lightning's callbacks.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Refuse a patience longer than training, which could never stop it."""
    patience = max(float(value) for value in context.possible("patience"))
    epochs = min(int(value) for value in context.possible("epochs"))
    if epochs < patience < float("inf"):
        raise ValueError(f"patience must be <= epochs ({epochs}), got {patience:g}")


def start(values: Values) -> dict[str, Tensor]:
    """Return the objective to improve on and the number of epochs since it was reached, ``(slots,)`` each."""
    best = torch.full((values.slots,), torch.inf, dtype=torch.float64, device=values.device)
    return {"best": best, "waited": torch.zeros_like(best)}


def after_epoch(metrics: Mapping[str, Tensor], values: Values) -> Tensor:
    """Return which slots stop, ``(slots,)`` bool."""
    best, waited = values.state["best"], values.state["waited"]
    now = values.objective(metrics)
    improved = now < best - values["min_delta"]
    best.copy_(torch.where(improved, now, best))
    waited.add_(1).masked_fill_(improved, 0.0)
    return waited >= values["patience"]


technique = Technique(
    name="early_stopping",
    hyperparameters={
        "patience": Numeric(default=10, low=3, high=30, whole=True, minimum=1, neutral=float("inf"), stronger="down"),
        "min_delta": Numeric(default=0.0, minimum=0.0, stronger="up"),
    },
    check=check,
    start=start,
    after_epoch=after_epoch,
)
