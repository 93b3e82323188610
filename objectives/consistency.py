"""Consistency regularisation penalises the change of the predictions when noise is added to the inputs.

``objective_s = loss_s + consistency_s * D(f_s(x + sigma_s * n), f_s(x))``

n is standard normal, drawn anew for each example and feature in each step, and the same for all slots of a replicate.
Noise is added to pixels as values in [0, 1], and the result is clamped to [0, 1]. Other features get noise as the
network takes them (scaled) and are not clamped. The gradient flows through both passes; each has its own random draws
(dropout). With predictions z (logits) without noise, z' with noise, and the logistic function s, the distance D is

    mse   (z' - z)^2                                          mean over outputs and batch
    l1    |z' - z|                                            likewise
    bce   -s(z) log s(z') - (1 - s(z)) log(1 - s(z'))         likewise; classes are independent labels
    kl    sum_k p_k log(p_k / p'_k),  p = softmax(z)          mean over the batch

Shapes: inputs ``slots x batch x features``; the term is ``(slots,)``.

Hyperparameters searched: the strength `consistency` and `sigma`; `consistency_distance` is mse unless a study sets it.

Source: Bachman et al., "Learning with pseudo-ensembles" (NIPS 2014); Sajjadi et al., "Regularization with stochastic
transformations and perturbations" (NIPS 2016); kl: Xie et al., "Unsupervised data augmentation" (NeurIPS 2020).
The distances are those of `torch.nn.MSELoss`, `L1Loss`, `BCELoss` and `KLDivLoss` (batchmean).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from search.technique import Batch, Numeric, Structural, StudyContext, Technique, Values


def check(context: StudyContext) -> None:
    """Refuse bce and kl in regression: only classes have probabilities."""
    for distance in context.possible("consistency_distance"):
        if distance in ("bce", "kl") and context.data.task != "classification":
            raise ValueError(f"consistency_distance {distance} is for classification; use mse or l1 in regression")


def loss(batch: Batch, values: Values) -> Tensor:
    """Return ``consistency * D``, ``(slots,)``."""
    clean, noisy = batch.predictions, batch.forward(_with_noise(batch.x, values))
    real = torch.arange(clean.shape[-1], device=clean.device) < batch.outputs
    distance = _DISTANCES[str(values.structure["consistency_distance"])](clean, noisy, real)
    return values["consistency"] * distance.mean(1)


def _with_noise(x: Tensor, values: Values) -> Tensor:
    """Return inputs with noise, ``slots x batch x padded features``, from ``groups or slots x ...``."""
    noise = values.normal("noise", *x.shape[1:])
    noise[..., values.layout.features :].zero_()
    unit = values.per_slot(values.inputs.unit(x)) + values["sigma"][:, None, None] * noise
    return values.inputs.scaled(unit.clamp_(0.0, 1.0) if values.inputs.pixels else unit)


def _mse(clean: Tensor, noisy: Tensor, real: Tensor) -> Tensor:
    """Return the distance of each example, ``slots x batch``, from predictions ``slots x batch x padded outputs``."""
    return ((noisy - clean) * real).square().sum(-1) / real.sum()


def _l1(clean: Tensor, noisy: Tensor, real: Tensor) -> Tensor:
    return ((noisy - clean) * real).abs().sum(-1) / real.sum()


def _bce(clean: Tensor, noisy: Tensor, real: Tensor) -> Tensor:
    # s(z) is computed by tanh, which (like logsigmoid) gives the same bits in any place; torch.sigmoid does not.
    labels = (1 + torch.tanh(clean / 2)) / 2
    return (((1 - labels) * noisy - F.logsigmoid(noisy)) * real).sum(-1) / real.sum()


def _kl(clean: Tensor, noisy: Tensor, real: Tensor) -> Tensor:
    clean, noisy = (torch.where(real, z, -1e30) for z in (clean, noisy))
    log_p = F.log_softmax(clean, -1)
    return (F.softmax(clean, -1) * (log_p - F.log_softmax(noisy, -1))).sum(-1)


_DISTANCES = {"mse": _mse, "l1": _l1, "bce": _bce, "kl": _kl}

technique = Technique(
    name="consistency",
    hyperparameters={
        "consistency": Numeric(low=0.01, high=10.0, log=True, minimum=0.0, neutral=0.0, stronger="up"),
        # No value of sigma is neutral: without noise, dropout still makes the two passes differ.
        "sigma": Numeric(default=0.1, low=0.03, high=0.5, log=True, minimum=0.0, stronger="up"),
        "consistency_distance": Structural(default="mse", choices=tuple(_DISTANCES)),
    },
    check=check,
    loss=loss,
)
