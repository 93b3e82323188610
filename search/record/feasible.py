"""Whether a trial may be chosen: it is feasible if it violates no constraint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from search.errors import counted

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

INFEASIBLE = "diverged"
"""The constraint that a trial violates if its validation loss never was finite."""


def violated(trial: FrozenTrial) -> list[str]:
    """Return the constraints of the study that a trial violates; one that never was finite is known by its state."""
    return [name for name, amount in trial.constraints.items() if amount > 0 and name != INFEASIBLE]


def feasible(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that may be chosen: complete ones that violate no constraint."""
    return [trial for trial in trials if trial.state.name == "COMPLETE" and not violated(trial)]


def described(trials: Sequence[tuple[int, Sequence[str]]], most: int = 12) -> list[str]:
    """Return which trials violate which constraint, a sentence each, from their numbers and what they violate."""
    names = dict.fromkeys(name for _, broken in trials for name in broken)
    sentences = []
    for name in names:
        numbers = [number for number, broken in trials if name in broken]
        more = f" and {len(numbers) - most} more" if len(numbers) > most else ""
        which = ", ".join(map(str, numbers[:most]))
        sentences.append(f"{name} is violated by {counted(len(numbers), 'trial')} of {len(trials)}: {which}{more}")
    return sentences
