"""Class weights against cross-entropy with targets that are multiplied by the weight of their class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from reference import Draws
from support.contract import Case
from support.data import random_data

# The rows of the suite's table.
LABELS = random_data(100, 13, 3).y_train.numpy()


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    raw = np.bincount(LABELS) ** -float(values["class_weight"])
    weights = torch.from_numpy(raw / raw[LABELS].mean())
    return {"targets": lambda y: y * weights.to(y.dtype)}


CASES = [
    Case("adam", slots=[{"class_weight": 0.5}, {"class_weight": 1.0}, {"class_weight": 0.0}], plain=plain),
]
