"""Constraints: conditions such as ``sparsity > 0.5`` that a trial must meet to be chosen."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from search.errors import RequestError, clip, unknown
from search.train.metrics.objective import BUILT_IN, OF_WEIGHTS

PARAMETERS = "parameters"
"""The number of trainable numbers of a trial's network."""

_WRITTEN = re.compile(r"\s*(\w+)\s*(<=|>=|<|>)\s*([-+.\w]+)\s*")
_ALWAYS = (PARAMETERS, "train_loss", *OF_WEIGHTS)


@dataclass(frozen=True)
class Constraint:
    """A bound on a metric at a trial's best epoch, averaged over its replicates; or on the size of its network.

    Attributes:
        metric: the name of the metric, or `PARAMETERS`.
        operator: one of ``<``, ``<=``, ``>``, ``>=``.
        bound: the bound.
    """

    metric: str
    operator: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric} {self.operator} {self.bound:.12g}"

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Return the constraint that a text such as ``sparsity>0.5`` states.

        Raises:
            RequestError: the text is no such condition, or the metric cannot be one of a constraint.
        """
        found = _WRITTEN.fullmatch(text)
        bound = _number(found[3]) if found else None
        if found is None or bound is None:
            raise RequestError(f"a constraint is METRIC > NUMBER, or with <, <= or >=, got {clip(text)!r}")
        metric = found[1]
        if metric == "seconds":
            raise RequestError(
                f"seconds cannot be in a constraint, got {clip(text)!r}: they differ from run to run, and a study must"
                f" not; {PARAMETERS} bounds the size of the network"
            )
        if metric.startswith("test_"):
            raise RequestError(f"a constraint cannot be on the test rows, got {clip(text)!r}: trials are chosen by it")
        if metric not in _ALWAYS and not metric.startswith("val_"):
            raise unknown("metric in a constraint", metric, {*_ALWAYS, *BUILT_IN})
        return cls(metric, found[2], bound)

    def violation(self, value: float) -> float:
        """Return how far a value is beyond the bound, as a share of the bound; 0 or less if it is within.

        The constraints of a study are summed by samplers, so they are relative. A bound of 0 has no share.
        """
        if not math.isfinite(value):
            return 1.0
        beyond = value - self.bound if self.operator.startswith("<") else self.bound - value
        if beyond == 0 and not self.operator.endswith("="):
            return sys.float_info.epsilon  # Optuna takes 0 for feasible
        return beyond / (abs(self.bound) or 1.0)


def parsed(texts: Iterable[str]) -> tuple[Constraint, ...]:
    """Return the constraints of a recipe."""
    return tuple(Constraint.parse(text) for text in texts)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
