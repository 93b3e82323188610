"""How strongly a trial is regularised, by what each hyperparameter declares to be stronger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search.recipe.distributions import position
from search.report.record import Entry, Record
from search.technique import Numeric, Value


def strengths(record: Record) -> list[str]:
    """The searched hyperparameters that have a direction of stronger regularisation."""
    return [name for name in record.searched if _stronger(record, name) is not None]


def _stronger(record: Record, name: str) -> str | None:
    declared = record.declared.get(name)
    return declared.stronger if isinstance(declared, Numeric) else None


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
