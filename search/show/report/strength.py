"""How strongly a trial is regularised, by what each hyperparameter declares to be stronger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.show.report.record import Entry, Record
from search.technique import Numeric, Value


def strengths(record: Record) -> list[str]:
    """The searched hyperparameters that have a direction of stronger regularisation."""
    return [name for name in record.searched if _stronger(record, name) is not None]


def _stronger(record: Record, name: str) -> str | None:
    declared = record.declared.get(name)
    return declared.stronger if isinstance(declared, Numeric) else None


def position(distribution: BaseDistribution, value: Value) -> float | None:
    """Where a value lies in its range, from 0 to 1 on the scale it is searched on; of choices, its rank.

    None for choices without an order, or a range of one value.
    """
    if isinstance(distribution, CategoricalDistribution):
        choices = [choice for choice in distribution.choices if isinstance(choice, int | float)]
        if len(choices) < max(2, len(distribution.choices)) or any(isinstance(choice, bool) for choice in choices):
            return None
        return sorted(choices).index(float(value)) / (len(choices) - 1)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, at = float(distribution.low), float(distribution.high), float(value)
    if distribution.log:
        low, high, at = math.log(low), math.log(high), math.log(at)
    return (at - low) / (high - low) if high > low else None


def profile(record: Record, params: Mapping[str, Value]) -> dict[str, float]:
    """The place of each strength from 0, weakest, to 1; 0 for one that does not exist in the trial."""
    found = {}
    for name in strengths(record):
        place = position(record.searched[name], params[name]) if name in params else None
        if name in params and place is not None and _stronger(record, name) == "down":
            place = 1 - place
        found[name] = place or 0.0
    return found


def strength(record: Record, entry: Entry) -> float:
    """The mean place of the strengths, 0 to 1."""
    places = profile(record, entry.params)
    return sum(places.values()) / len(places) if places else 0.0


def by_strength(record: Record, entries: Sequence[Entry]) -> list[Entry]:
    """The weakest first; the better of two that are as strong."""
    return sorted(entries, key=lambda entry: (strength(record, entry), entry.objective, entry.number))


def weakest(record: Record) -> Entry:
    """The least regularised complete trial; of several as weak one that is not the best, and of those the worst.

    Where settings are listed, the plain one is as weak as one with a technique that has no strength.
    """
    best = record.best
    return min(
        record.complete, key=lambda entry: (strength(record, entry), entry is best, -entry.objective, entry.number)
    )


def no_weaker(record: Record, one: Entry, other: Entry) -> bool:
    """Whether one trial is at least as strongly regularised as another in every strength."""
    mine, theirs = profile(record, one.params), profile(record, other.params)
    return all(mine[name] >= theirs[name] for name in mine)
