"""The encoding as a module before a network of plain torch, by the definition of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from reference import Draws, sequential
from support.contract import Case
from support.data import random_data
from torch import Tensor, nn


class Encoding(nn.Module):
    """One number for each bin of each feature; the bins lie between the quantiles of training rows."""

    def __init__(self, rows: Tensor, bins: int) -> None:
        super().__init__()
        shares = np.linspace(0, 1, bins + 1)
        self.edges = [np.quantile(one.double().numpy(), shares).astype(np.float32).tolist() for one in rows.T]

    def forward(self, x: Tensor) -> Tensor:
        columns = []
        for feature, edges in zip(x.float().T, self.edges, strict=True):
            for number, (low, high) in enumerate(pairwise(edges), 1):
                e = (feature - torch.tensor(low)) / (torch.tensor(high) - torch.tensor(low))
                if number > 1:
                    e = torch.where(feature < low, 0.0, e)
                if number < len(edges) - 1:
                    e = torch.where(feature >= high, 1.0, e)
                columns.append(e)
        return torch.stack(columns, 1).to(x.dtype)


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    outputs = 2 if values["hidden"] == "0" else 3
    data = random_data(100, 13, outputs, task="regression" if outputs == 2 else "classification")

    def build(_model: nn.Sequential) -> nn.Sequential:
        hidden = [int(width) for width in values["hidden"].split("x") if width != "0"]
        widths = (13 * values["bins"], *hidden, outputs)
        return nn.Sequential(Encoding(data.x_train, values["bins"]), *sequential(widths, values["activation"], draws))

    return {"build": build}


SLOTS: list[dict[str, float]] = [{"lr": 2e-3}, {"lr": 1e-2}]

CASES = [
    Case("table", slots=SLOTS, plain=plain, structure={"bins": 5, "hidden": "12x20"}),
    Case("regression", slots=SLOTS, plain=plain, structure={"bins": 2, "hidden": "0"}, data="regression"),
]
