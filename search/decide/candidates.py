"""Which trials are compared: the best ones of the search, and some at other strengths of regularisation.

The objective of a single network says which trials may be the best. How far their strength could be changed without
harm is asked of trials next to them: the strengths are cut into bins, and of a bin beside those of the best trials the
best trial is taken, also one that was pruned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from search.recipe.distributions import position
from search.report.record import Entry, Record
from search.report.strength import profile

MOST = 6
"""The most trials that are compared because of their objective."""
FEWEST = 2
_NEAR = 0.02
BINS = 8
"""The number of bins into which the strengths of a hyperparameter are cut."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The trials of a study that can be compared.

    Attributes:
        record: the study's record.
        names: the hyperparameters that have a direction of stronger regularisation.
        places: the strength of each finished trial in each of them, from 0 to 1, by the trial's number.
    """

    record: Record
    names: Sequence[str]
    places: Mapping[int, Sequence[float]]

    @classmethod
    def of(cls, record: Record) -> Candidates:
        """Return the trials of a record."""
        profiles = {entry.number: profile(record, entry.params) for entry in record.finished}
        names = list(next(iter(profiles.values()), {}))
        return cls(record, names, {number: list(one.values()) for number, one in profiles.items()})

    def best(self, count: int) -> list[int]:
        """Return the numbers of so many of the best trials; of those that are nearly one setting, only the best."""
        found: list[Entry] = []
        for entry in self.record.feasible:
            if len(found) < count and not any(self._nearly(entry, other) for other in found):
                found.append(entry)
        return [entry.number for entry in found]

    def _nearly(self, one: Entry, other: Entry) -> bool:
        """Return whether two trials differ by less than a fiftieth of each range, and in no choice."""
        if one.params.keys() != other.params.keys():
            return False
        for name, value in one.params.items():
            here, there = (position(self.record.searched[name], at) for at in (value, other.params[name]))
            if value != other.params[name] and (here is None or there is None or abs(here - there) >= _NEAR):
                return False
        return True

    def beside(self, tied: Collection[int], compared: Collection[int]) -> list[int]:
        """Return a trial in each bin of strengths that lies beside those of the tied trials and has none compared.

        Args:
            tied: the trials that cannot be told from the best.
            compared: all trials that have been compared.
        """
        found: list[int] = []
        for axis in range(len(self.names)):
            bins = {number: self._bin(places[axis]) for number, places in self.places.items()}
            taken = {bins[number] for number in (*compared, *found)}
            inside = {bins[number] for number in tied}
            for trials in self._next_bins(bins, min(inside), max(inside)):
                if bins[trials[0].number] not in taken:
                    found.append(min(trials, key=self._rank).number)
        return list(dict.fromkeys(found))

    def _next_bins(self, bins: Mapping[int, int], low: int, high: int) -> Iterator[list[Entry]]:
        """Yield the trials of the next bin with any, below and above."""
        entries = [entry for entry in self.record.finished if not entry.violates]
        below = max((bins[entry.number] for entry in entries if bins[entry.number] < low), default=None)
        above = min((bins[entry.number] for entry in entries if bins[entry.number] > high), default=None)
        for at in (below, above):
            if at is not None:
                yield [entry for entry in entries if bins[entry.number] == at]

    @staticmethod
    def _rank(entry: Entry) -> tuple[bool, float, int]:
        return entry.state != "complete", entry.loss, entry.number

    @staticmethod
    def _bin(place: float) -> int:
        return int(np.clip(np.floor(place * BINS), 0, BINS - 1))
