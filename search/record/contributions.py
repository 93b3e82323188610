"""The contributions of validation rows to the objectives of trials, stored in the study so that they are trained once.

A finished trial takes no more attributes, so they are attributes of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from search.record.curves import pack, unpack

CONTRIBUTIONS = "contributions:"
"""Study attribute, followed by a trial's number: float32 of shape ``replicates x blocks``, NaN for a replicate that
diverged."""


def note(study: optuna.Study, trial: int, values: NDArray[np.float64]) -> None:
    """Store a trial's contributions, ``replicates x blocks``."""
    study.set_user_attr(f"{CONTRIBUTIONS}{trial}", {"shape": list(values.shape), "data": pack(values, "<f4")})


def noted(attributes: Mapping[str, Any], trial: int) -> NDArray[np.float64] | None:
    """Return a trial's contributions, ``replicates x blocks``; None if the study has none."""
    stored = attributes.get(f"{CONTRIBUTIONS}{trial}")
    if stored is None:
        return None
    return unpack(stored["data"], "<f4", tuple(stored["shape"])).astype(np.float64)
