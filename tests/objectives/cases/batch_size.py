"""Batch size: minibatches that divide the 100 rows, that do not, and that are larger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws
from support.contract import Case


def plain(_values: Mapping[str, Any], _draws: Draws) -> dict[str, Any]:
    return {}


CASES = [
    Case(f"{size} rows", slots=[{"lr": 1e-2}, {"lr": 1e-3}], plain=plain, structure={"batch_size": size})
    for size in (20, 32, 512)
]
