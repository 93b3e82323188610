"""Input dropout against the minibatch times a mask of the named draws, before the first layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws, stored
from support.contract import Case
from torch import Tensor


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    p = values["input_dropout"]

    def dropped(x: Tensor) -> Tensor:
        kept = draws.uniform("input_dropout", "inputs", len(x), stored(x.shape[1]))[:, : x.shape[1]] >= p
        return x * kept / (1 - p)

    return {"inputs": dropped}


CASES = [
    Case("table", slots=[{"input_dropout": 0.5}, {"input_dropout": 0.1}, {"input_dropout": 0.0}], plain=plain),
    Case("images", slots=[{"input_dropout": 0.2}, {"input_dropout": 0.6}], plain=plain, data="images"),
]
