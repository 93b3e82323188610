"""Cutmix against a loop over the examples of a minibatch and their partners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws, stored
from support.contract import Case
from torch import Tensor


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    width = 0

    def replaced(rows: int) -> tuple[Tensor, list[int]]:
        """Which features an example gets from its partner, and who that is."""
        chosen = draws.uniform("cutmix", "rows", rows, 1) < values["cutmix"]
        drawn = draws.uniform("cutmix", "features", rows, stored(width))[:, :width]
        partners = draws.uniform("cutmix", "partners", rows).tolist()
        return chosen & (drawn < draws.uniform("cutmix", "shares", rows, 1)), sorted(
            range(rows), key=partners.__getitem__
        )

    def inputs(features: Tensor) -> Tensor:
        nonlocal width
        width = features.shape[1]
        made, (which, partner) = features.clone(), replaced(len(features))
        for row in range(len(features)):
            for feature in range(width):
                if which[row, feature]:
                    made[row, feature] = features[partner[row], feature]
        return made

    def targets(truth: Tensor) -> Tensor:
        made, (which, partner) = truth.clone(), replaced(len(truth))
        for row in range(len(truth)):
            share = which[row].double().mean()
            made[row] = (1 - share) * truth[row] + share * truth[partner[row]]
        return made

    return {"inputs": inputs, "targets": targets}


SLOTS = [{"cutmix": 1.0}, {"cutmix": 0.4}, {"cutmix": 0.0}]

CASES = [Case(data, slots=SLOTS, plain=plain, data=data) for data in ("table", "images", "regression")]
