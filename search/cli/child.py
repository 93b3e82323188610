"""Child processes of a command: workers, the MLflow writer."""

from __future__ import annotations

import os
from pathlib import Path


def environment() -> dict[str, str]:
    """This process's, in which a child finds this very package, also where it was put on the path by hand."""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}
