"""Input noise against the minibatch plus the named draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws, stored
from support.contract import Case
from torch import Tensor


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def inputs(features: Tensor) -> Tensor:
        rows, width = features.shape
        noise = values["input_noise"] * draws.normal("input_noise", "noise", rows, stored(width))[:, :width]
        if width == 30:  # the images, 0 to 16, scaled by mean 8 and SD 4
            return (torch.clamp((features * 4 + 8) / 16 + noise, 0, 1) * 16 - 8) / 4
        return features + noise

    return {"inputs": inputs}


SLOTS = [{"input_noise": 0.5}, {"input_noise": 0.01}, {"input_noise": 0.0}]

CASES = [Case(data, slots=SLOTS, plain=plain, data=data) for data in ("table", "regression", "images")]
