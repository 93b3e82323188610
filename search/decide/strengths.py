"""The range of strengths that cannot be told from the best one.

Between the outermost trial that is not told to be worse and the next one that is, the range ends in the middle (on the
scale of the search). Where no trial beyond is told to be worse, it reaches to the end of what is searched.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.decide.candidates import Candidates
from search.record.decision import StrengthRange


def strength_ranges(
    candidates: Candidates, tied: Collection[int], compared: Collection[int], chosen: int
) -> list[StrengthRange]:
    """Return the range of each hyperparameter that has a direction of stronger regularisation.

    Args:
        candidates: the trials of the study.
        tied: the trials that cannot be told from the best one.
        compared: all trials that were compared, of which the others are told to be worse.
        chosen: the trial that is chosen.
    """
    return [one for name in candidates.names if (one := _range(candidates, name, tied, compared, chosen)) is not None]


def _range(
    candidates: Candidates, name: str, tied: Collection[int], compared: Collection[int], chosen: int
) -> StrengthRange | None:
    record = candidates.record
    values = {entry.number: cast("float", entry.params[name]) for entry in record.finished if name in entry.params}
    inside = [values[trial] for trial in tied if trial in values]
    if not inside:
        return None
    low, high = min(inside), max(inside)
    told = [values[trial] for trial in compared if trial not in tied and trial in values]
    below, above = (
        max((one for one in told if one < low), default=None),
        min((one for one in told if one > high), default=None),
    )
    searched = record.searched[name]
    first, last = _ends(searched)
    at = values.get(chosen)
    return StrengthRange(
        name,
        None if at is None else float(at),
        float(first if below is None else _middle(searched, below, low)),
        float(last if above is None else _middle(searched, high, above)),
        (below is not None, above is not None),
        off=any(trial not in values for trial in tied),
    )


def _ends(searched: BaseDistribution) -> tuple[float, float]:
    """Return the weakest and the strongest value, or the other way round, that the search may try."""
    if isinstance(searched, CategoricalDistribution):
        numbers = [float(one) for one in searched.choices if isinstance(one, int | float)]
        return min(numbers), max(numbers)
    assert isinstance(searched, FloatDistribution | IntDistribution)
    return searched.low, searched.high


def _middle(searched: BaseDistribution, one: float, other: float) -> float:
    """Return the value half-way between two, on the scale of the search."""
    if isinstance(searched, FloatDistribution | IntDistribution) and searched.log:
        return float((one * other) ** 0.5)
    return (one + other) / 2
