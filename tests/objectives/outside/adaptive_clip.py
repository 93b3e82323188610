"""Adaptive clipping bounds the norm of the gradient by a multiple of its running mean.

``g <- g * min(1, clip * m / |g|)``,  ``m <- decay * m + (1 - decay) * |g|`` (``m = |g|`` at the first step), where |g|
is the Euclidean norm or the largest absolute value. A slot stops once its training loss is below `clip_stop`.

Source: written for the tests of the contract, as somebody outside the package would write a technique.
"""

from __future__ import annotations

import math

import torch

from search import Numeric, Structural, Technique


def start(values):
    return {"mean": torch.zeros(values.slots, 1, dtype=values.dtype, device=values.device)}


def gradient(g, _weights, values):
    size = (
        g.norm(dim=1, keepdim=True) if values.structure["clip_norm"] == "euclidean" else g.abs().amax(1, keepdim=True)
    )
    mean = values.state["mean"]
    if values.epoch == 0 and values.step == 0:
        mean.copy_(size)
    g.mul_((values["clip"][:, None] * mean / size).clamp(max=1.0))
    if values.structure["clip_norm"] == "euclidean":
        decay = values["clip_decay"][:, None]
        mean.mul_(decay).add_((1 - decay) * size)


def after_epoch(metrics, values):
    return metrics["train_loss"] < values["clip_stop"]


technique = Technique(
    name="adaptive_clip",
    hyperparameters={
        "clip": Numeric(low=0.1, high=2.0, log=True, above=0.0, neutral=math.inf, stronger="down"),
        "clip_norm": Structural(default="euclidean", choices=("euclidean", "largest"), searched=True),
        "clip_decay": Numeric(
            default=0.9, low=0.5, high=0.99, minimum=0.0, below=1.0, neutral=0.0, when={"clip_norm": ("euclidean",)}
        ),
        "clip_stop": Numeric(minimum=0.0, neutral=0.0, low=0.01, high=0.2, stronger="up"),
    },
    start=start,
    gradient=gradient,
    after_epoch=after_epoch,
)
