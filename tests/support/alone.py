"""A machine on which of the package's dependencies only torch and numpy are installed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
# What a distribution is imported as, where its name differs; and packages that come with one of the dependencies.
_IMPORTED = {"scikit-learn": "sklearn"}
_COME_ALONG = ("alembic", "joblib", "llvmlite")


def _hidden() -> list[str]:
    """Return the names by which the package's other dependencies are imported."""
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=\[]", one)[0] for one in project["dependencies"]]
    assert {"torch", "numpy", "optuna", "mlflow"} < set(names)
    imported = [_IMPORTED.get(name, name.replace("-", "_")) for name in names if name not in ("torch", "numpy")]
    return [*imported, *_COME_ALONG]


# A module that is None in `sys.modules` cannot be imported (Python's language reference, 5.3.1).
HIDE_LIBRARIES = f"import sys\nsys.modules.update(dict.fromkeys({_hidden()}))\n"
"""A program that hides the other dependencies from what runs after it in the same process."""
