"""What trials came to on replicates that were added after the search, kept in the study: they are trained once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

ADDED = "added:"
"""Study attribute, with a trial's number after it: the objective on each added replicate, null where it diverged."""


def note(study: optuna.Study, trial: int, objectives: Sequence[float]) -> None:
    """Keep a trial's objectives; a finished trial takes no attributes of its own any more."""
    study.set_user_attr(f"{ADDED}{trial}", [one if math.isfinite(one) else None for one in objectives])


def noted(attributes: Mapping[str, Any]) -> dict[int, NDArray[np.float64]]:
    """Of each trial that has some, its objectives ``(replicates,)``, infinite where it diverged."""
    return {
        int(key.removeprefix(ADDED)): np.array([np.inf if one is None else one for one in objectives], np.float64)
        for key, objectives in attributes.items()
        if key.startswith(ADDED)
    }
