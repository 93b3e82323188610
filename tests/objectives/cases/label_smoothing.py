"""Label smoothing against torch's cross entropy with smooth class probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from reference import Draws
from support.contract import Case


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    return {
        "targets": lambda y: torch.lerp(
            y, torch.full_like(y, 1 / y.shape[1]), torch.tensor(values["label_smoothing"], dtype=y.dtype)
        )
    }


CASES = [
    Case("adam", slots=[{"label_smoothing": 0.1}, {"label_smoothing": 0.9}, {"label_smoothing": 0.0}], plain=plain),
]
