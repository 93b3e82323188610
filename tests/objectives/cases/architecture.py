"""Architecture: derived shapes against plain networks whose widths are written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case

from objectives.architecture import technique

WIDTHS = {(0, 128): (13, 3), (1, 20): (13, 20, 3), (3, 7): (13, 7, 7, 7, 3)}


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    return {"widths": WIDTHS[values["depth"], values["width"]]}


CASES = [
    Case(
        f"depth {depth}, {activation}",
        slots=[{"lr": 1e-2}, {"lr": 1e-3}],
        plain=plain,
        structure={
            "depth": depth,
            "width": width,
            "activation": activation,
            "hidden": technique.derive["hidden"]({"depth": depth, "width": width}),
        },
    )
    for (depth, width), activation in zip(WIDTHS, ("relu", "tanh", "gelu"), strict=True)
]
