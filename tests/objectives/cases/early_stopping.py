"""Early stopping against a loop that breaks; a pack alone trains slots on after the stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    losses: list[float] = []

    def after_epoch(measured: Mapping[str, float]) -> bool:
        losses.append(measured["val_loss"])
        record, waited = float("inf"), 0
        for loss in losses:
            record, waited = (loss, 0) if loss < record - values["min_delta"] else (record, waited + 1)
        return waited >= values["patience"]

    return {"after_epoch": after_epoch}


CASES = [
    # No epoch improves on the first by 10, so the first slot stops at the end of the third epoch.
    Case("one stops", slots=[{"patience": 2, "min_delta": 10.0}, {"patience": 2, "min_delta": 0.0}], plain=plain),
]
