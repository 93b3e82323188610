"""Mark some of a test's cases as slow: they add little to the others, and run with `-m slow` only."""

from __future__ import annotations

from typing import Any

import pytest


def slow(*cases: Any) -> list[Any]:
    """Return the cases for `pytest.mark.parametrize`, marked slow; a tuple has a value for each parameter."""
    return [pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow) for case in cases]
