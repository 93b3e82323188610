"""The environment of Python processes that tests start."""

from __future__ import annotations

import os
from pathlib import Path


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with changes, in which `support` can be imported."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1", **changes}
