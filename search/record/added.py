"""The objectives on replicates that are added to trials after the search, stored so that they are trained only once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

ADDED = "added:"
"""Study attribute, followed by a trial's number: the objective on each added replicate, null where it diverged."""


def note(study: optuna.Study, trial: int, objectives: Sequence[float]) -> None:
    """Store a trial's objectives in the study, because a finished trial takes no more attributes."""
    study.set_user_attr(f"{ADDED}{trial}", [value if math.isfinite(value) else None for value in objectives])


def noted(attributes: Mapping[str, Any]) -> dict[int, NDArray[np.float64]]:
    """Return the stored objectives by trial, ``(replicates,)``, infinite where the replicate diverged."""
    return {
        int(key.removeprefix(ADDED)): np.array([np.inf if value is None else value for value in objectives], np.float64)
        for key, objectives in attributes.items()
        if key.startswith(ADDED)
    }
