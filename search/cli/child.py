"""The environment of a command's child processes: its workers and the MLflow writer."""

from __future__ import annotations

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """Return this process's environment, extended so that a child finds this very package on its path."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}
