"""Every technique that discovery finds, and one from outside the package, with its cases, ready to train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search.recipe.discovery import discover, load_technique
from support.contract import CASES, bench, load_cases

OUTSIDE = Path(__file__).parents[1] / "objectives" / "outside"
"""A technique from outside the package, its case and its recipe: it passes the same tests as the package's own."""
TECHNIQUES = discover() | {one.name: one for one in (load_technique(OUTSIDE / "adaptive_clip.py"),)}


def case_file(name: str) -> Path:
    return (OUTSIDE / "cases" if name not in discover() else CASES) / f"{name}.py"


BENCHES = [
    pytest.param(bench(technique, case), id=f"{name}: {case.name}")
    for name, technique in TECHNIQUES.items()
    if case_file(name).exists()
    for case in load_cases(case_file(name))
]


def some_benches(prefixes: tuple[str, ...] = ("",)) -> list[Any]:
    """Return all benches for `pytest.mark.parametrize`, of which only some are no slow tests.

    These are the first case of each technique whose name begins with one of the prefixes.
    """
    first = set({str(one.id).partition(":")[0]: one.id for one in reversed(BENCHES)}.values())
    usual = {one.id for one in BENCHES if one.id in first and str(one.id).startswith(prefixes)}
    return [pytest.param(*one.values, id=one.id, marks=() if one.id in usual else pytest.mark.slow) for one in BENCHES]
