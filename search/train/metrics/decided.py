"""The metrics that depend on decided classes, not on their probabilities. A threshold can be chosen for one of them.

Nothing here imports torch, so that a name is validated before torch is loaded.
"""

from __future__ import annotations

from typing import Any

from search.errors import RequestError, unknown
from search.train.metrics.objective import BUILT_IN, Objective

DECIDED = ("accuracy", "balanced_accuracy", "f1", "mcc")
"""Their names without ``val_``."""


def decided_metric(name: Any) -> Objective:
    """Return the metric of a name, with or without ``val_``, for which a threshold can be chosen.

    Raises:
        RequestError: there is no such metric, or it does not depend on decided classes.
    """
    if not isinstance(name, str) or name.replace(".", "", 1).isdigit():
        raise RequestError(f"threshold takes the name of a metric that chooses it, such as f1, got {name!r}")
    short = name.removeprefix("val_")
    if short in DECIDED:
        return BUILT_IN[f"val_{short}"]
    if {short, f"val_{short}"} & BUILT_IN.keys():
        known = f"{', '.join(DECIDED[:-1])} or {DECIDED[-1]}"
        raise RequestError(f"threshold takes a metric that a threshold changes, which {name} is not: give {known}")
    raise unknown("metric of threshold", name, DECIDED)
