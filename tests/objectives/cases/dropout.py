"""Dropout against torch's module with its mask taken from the named draws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reference import Draws, Dropout
from support.contract import Case


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    return {"modules": lambda number, _width: [Dropout(f"layer {number}", values["dropout"], draws)]}


def in_a_funnel(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    shares = {1: 1.0, 2: 2 / 3, 3: 1 / 3}
    return {"modules": lambda number, _width: [Dropout(f"layer {number}", values["dropout"] * shares[number], draws)]}


CASES = [
    Case(
        "two layers",
        slots=[{"dropout": 0.5}, {"dropout": 0.1}, {"dropout": 0.0}],
        plain=plain,
        structure={"hidden": "12x20"},
    ),
    Case("relu", slots=[{"dropout": 0.3}, {"dropout": 0.7}], plain=plain, structure={"activation": "relu"}),
    Case(
        "funnel",
        slots=[{"dropout": 0.6}, {"dropout": 0.2}],
        plain=in_a_funnel,
        structure={"hidden": "12x8x8", "dropout_shape": "funnel"},
    ),
]
