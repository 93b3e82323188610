"""The state of one run of MLflow, as far as it is known, and whether it contradicts the record of its trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mlflow.entities import Run

from search.tracking.plan import Point

Known = dict[str, dict[int, float]]
"""The values that a run holds already: key -> step -> value."""


@dataclass
class RunState:
    """The state of one run, as far as it is known; `known` is None until its histories have been read.

    `end_ms` is its end in ms since the Unix epoch, None if it has not ended.
    """

    run_id: str
    status: str
    end_ms: int | None
    tags: dict[str, str]
    params: dict[str, str]
    latest: dict[str, float]
    known: Known | None = field(default=None, repr=False)


def contradicts(run: RunState, known: Known, points: list[Point], params: Mapping[str, str]) -> bool:
    """Return whether the run holds a point or a parameter that the record lacks, or that differs there.

    Values within 1e-5 relative are equal: the live mean over replicates may have been summed in another order.
    """
    if any(run.params.get(key, value) != value for key, value in params.items()):
        return True
    wanted: Known = {}
    for point in points:
        wanted.setdefault(point.key, {})[point.step] = point.value
    return not all(
        step in wanted.get(key, {}) and _same(value, wanted[key][step])
        for key, steps in known.items()
        for step, value in steps.items()
    )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))


def rank(run: Run) -> tuple[int, str]:
    """Return a key that sorts runs by their start."""
    return run.info.start_time, run.info.run_id


def state_of(run: Run) -> RunState:
    """Return the state of a run that was searched for."""
    info, data = run.info, run.data
    return RunState(info.run_id, info.status, info.end_time, dict(data.tags), dict(data.params), dict(data.metrics))
