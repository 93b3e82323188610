"""Mixup trains on mixtures of pairs of examples, inputs and targets alike.

    x <- lam x + (1 - lam) x',      y <- lam y + (1 - lam) y',      lam ~ Beta(alpha, alpha)

(x', y') is the partner of (x, y): the minibatch in random order. lam is one number for the whole minibatch, as in the
authors' code and in torchvision; partners and lam are drawn anew in each step. A small alpha mixes little (lam is near
0 or 1), alpha = 1 makes lam uniform, a large alpha mixes halves. Validation and test examples are not changed. With
weights of rows, the loss of a mixture has the weight of x.

In regression the targets, one or several, are mixed as they are standardised, which is the same as mixing them in their
own units. That fits the squared error, whose minimiser is a mean, so other losses of a regression are refused.

lam is the quantile of Beta(alpha, alpha) at a uniform draw from (0, 1), which all slots of a replicate share: a slot's
lam depends on its own alpha only, and moves steadily with it. The quantile is computed in float64 on the CPU, slot by
slot, and holds for every alpha; so it has the same bits alone and packed. A GPU waits for it once a step.

Shapes: inputs ``groups or slots x batch x features`` and targets ``groups or slots x batch x outputs``, to ``slots x
...``; lam is ``(slots,)``. Hyperparameters searched: alpha, named `mixup`; 0 is no mixup.

Source: Zhang et al., "mixup: beyond empirical risk minimization" (ICLR 2018); `torchvision.transforms.v2.MixUp`. For
regression Yao et al., "C-Mixup: improving generalization in regression" (NeurIPS 2022), whose baseline mixup this is.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from search.technique import Numeric, StudyContext, Technique, Values
from search.technique.partners import of_partners

_HALF_CELL = 2.0**-25
"""Draws are multiples of 2^-24. The middle of a draw's cell is never 0, whose quantile is 0 for every alpha."""


def check(context: StudyContext) -> None:
    """Refuse losses for which the mixture of two targets is not what the mixture of two rows should have."""
    if context.data.task != "classification" and context.loss != "mse":
        raise ValueError(f"it needs loss mse in a regression, because it mixes targets, got loss {context.loss}")


def start(values: Values) -> dict[str, Tensor]:
    """Return lam of the present step, ``(slots,)``."""
    return {"lam": torch.ones(values.slots, dtype=values.dtype, device=values.device)}


def mix_inputs(x: Tensor, values: Values) -> Tensor:
    """Draw lam, and return mixed inputs, ``slots x batch x padded features``."""
    drawn = values.draws("lam", 1)[values.group_of, 0]
    values.state["lam"].copy_(quantile(drawn.double() + _HALF_CELL, values["mixup"]))
    return _mixed(x, values)


def mix_targets(y: Tensor, values: Values) -> Tensor:
    """Return targets, mixed as the inputs of this step were, ``slots x batch x outputs``."""
    return _mixed(y, values)


def quantile(share: Tensor, alpha: Tensor) -> Tensor:
    """Return the quantile of Beta(alpha, alpha), float64 ``(slots,)`` on the CPU; 1 where alpha is 0.

    Args:
        share: the shares of the distribution below it, in (0, 1), ``(slots,)``.
        alpha: the parameter of each slot, >= 0, ``(slots,)``.
    """
    from scipy.special import betaincinv  # it takes long to import, and most studies do not need it

    below, a = share.double().cpu().numpy(), alpha.double().cpu().numpy()
    return torch.from_numpy(np.where(a > 0, betaincinv(a, a, below), 1.0))


def _mixed(rows: Tensor, values: Values) -> Tensor:
    """Return rows ``groups or slots x batch x ...`` mixed with those of their partners, ``slots x batch x ...``."""
    lam = values.state["lam"][:, None, None]
    return lam * values.per_slot(rows) + (1 - lam) * of_partners(rows, values)


technique = Technique(
    name="mixup",
    hyperparameters={"mixup": Numeric(low=0.05, high=2.0, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    check=check,
    start=start,
    input=mix_inputs,
    targets=mix_targets,
)
