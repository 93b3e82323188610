"""The strength of a trial's regularisation, from the direction that each hyperparameter declares as stronger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.recipe.distributions import position
from search.report.record import Entry, Record
from search.technique import Numeric, Value


def strengths(record: Record) -> list[str]:
    """Return the searched hyperparameters that have a direction of stronger regularisation."""
    return [name for name in record.searched if _stronger(record, name) is not None]


def _stronger(record: Record, name: str) -> str | None:
    declared = record.declared.get(name)
    return declared.stronger if isinstance(declared, Numeric) else None


def profile(record: Record, params: Mapping[str, Value]) -> dict[str, float]:
    """Return the strength of each such hyperparameter, from 0 for the weakest to 1; 0 if the trial does not have it."""
    places = {}
    for name in strengths(record):
        place = position(record.searched[name], params[name]) if name in params else None
        if name in params and place is not None and _stronger(record, name) == "down":
            place = 1 - place
        places[name] = place or 0.0
    return places


def strength(record: Record, entry: Entry) -> float:
    """Return the mean of the profile, from 0 to 1."""
    places = profile(record, entry.params)
    return sum(places.values()) / len(places) if places else 0.0


def by_strength(record: Record, entries: Sequence[Entry]) -> list[Entry]:
    """Return trials sorted by strength, the weakest first; of equally strong ones, the better one first."""
    return sorted(entries, key=lambda entry: (strength(record, entry), entry.loss, entry.number))


def weakest(record: Record) -> Entry:
    """Return the least regularised complete trial; of equally weak ones the worst, and the best trial only if alone.

    If the recipe lists settings, the plain one is as weak as one whose technique has no strength.
    """
    best = record.best
    return min(record.complete, key=lambda entry: (strength(record, entry), entry is best, -entry.loss, entry.number))


def no_weaker(record: Record, entry: Entry, other: Entry) -> bool:
    """Return whether a trial is at least as strongly regularised as another one in every hyperparameter."""
    ours, theirs = profile(record, entry.params), profile(record, other.params)
    return all(ours[name] >= theirs[name] for name in ours)
