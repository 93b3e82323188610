"""Consistency against torch's own distances, with a second pass on the same noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws, stored
from support.contract import Case
from torch import Tensor, nn
from torch.nn import functional as F


def bce(noisy: Tensor, clean: Tensor) -> Tensor:
    return nn.BCELoss()(noisy.sigmoid(), clean.sigmoid())


def kl(noisy: Tensor, clean: Tensor) -> Tensor:
    return nn.KLDivLoss(reduction="batchmean")(F.log_softmax(noisy, 1), clean.softmax(1))


DISTANCES = {"mse": nn.MSELoss(), "l1": nn.L1Loss(), "bce": bce, "kl": kl}


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def extra_loss(forward: Any, features: Tensor, out: Tensor) -> Tensor:
        rows, width = features.shape
        noise = draws.normal("consistency", "noise", rows, stored(width))[:, :width]
        if width == 30:  # the images, 0 to 16, scaled by mean 8 and SD 4
            pixels = torch.clamp((features * 4 + 8) / 16 + noise * values["sigma"], 0, 1)
            noisy = (pixels * 16 - 8) / 4
        else:
            noisy = features + noise * values["sigma"]
        distance: Tensor = DISTANCES[values["consistency_distance"]](forward(noisy), out)
        return values["consistency"] * distance

    return {"extra_loss": extra_loss}


SLOTS = [{"consistency": 2.0, "sigma": 0.1}, {"consistency": 0.3, "sigma": 1.0}, {"consistency": 0.0, "sigma": 0.1}]

CASES = [
    Case("mse", slots=SLOTS, plain=plain, structure={"consistency_distance": "mse"}),
    Case("l1", slots=SLOTS, plain=plain, structure={"consistency_distance": "l1", "hidden": "12x20"}),
    Case("bce", slots=SLOTS, plain=plain, structure={"consistency_distance": "bce"}),
    Case("kl", slots=SLOTS, plain=plain, structure={"consistency_distance": "kl", "activation": "gelu"}),
    Case("mse of pixels", slots=SLOTS, plain=plain, structure={"consistency_distance": "mse"}, data="images"),
    Case("l1 of regression", slots=SLOTS, plain=plain, structure={"consistency_distance": "l1"}, data="regression"),
]
