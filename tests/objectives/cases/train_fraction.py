"""Train fraction: parts of 100 rows counted by hand; 0.07 of them is 7, although 0.07 * 100 is 7.000000000000001."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case

COUNTS = {0.5: 50, 0.333: 34, 0.07: 7}


def plain(values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    return {"rows": lambda order: order[: COUNTS[values["train_fraction"]]]}


CASES = [
    Case(f"{count} of 100 rows", slots=[{"lr": 1e-2}, {"lr": 1e-3}], plain=plain, structure={"train_fraction": part})
    for part, count in COUNTS.items()
]
