"""What the record says in numbers: pure functions of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.choose import edges as rule
from search.choose.edges import Edge
from search.report.record import Entry, Record
from search.report.strength import by_strength, no_weaker, strengths

REPLICATES = 3
"""Fewer say nothing about a standard error."""
BEST, MORE = 10, 5
"""Of a study with fewer, so many of the best trials are trained on so many more."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's between the objective at a rung and the final one; `rho` is None where there is none to compute."""

    rung: int
    n: int
    rho: float | None


@dataclass(frozen=True)
class Saved:
    """Epochs of finished trials: planned, and how many of them were not trained because of what."""

    planned: int
    by_pruning: int
    otherwise: int

    @property
    def share(self) -> float:
        """Of the planned epochs, what pruning saved."""
        return self.by_pruning / self.planned if self.planned else 0.0


@dataclass(frozen=True)
class Choice:
    """The one-standard-error rule's.

    Attributes:
        best: the trial of the lowest mean over the replicates.
        chosen: the most strongly regularised trial whose loss is within one standard error of the best one's.
        difference: its loss minus the best one's, mean over replicates; error: the standard error of that mean.
        replicates: how many these are, those that were added among them.
    """

    best: Entry
    chosen: Entry
    difference: float
    error: float
    replicates: int


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties by their mean rank; None for fewer than three pairs or a constant."""
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def correlations(record: Record) -> list[Correlation]:
    """Of each rung, over the complete trials that reported there."""
    found = []
    for rung in sorted({rung for entry in record.entries for rung in entry.reported}):
        pairs = [(one.reported[rung], one.objective) for one in record.complete if rung in one.reported]
        finite = [(early, final) for early, final in pairs if math.isfinite(early)]
        rho = spearman([early for early, _ in finite], [final for _, final in finite])
        found.append(Correlation(rung, len(finite), rho))
    return found


def saved(record: Record) -> Saved:
    """What ended early: by pruning, or otherwise (early stopping, divergence)."""
    planned = by_pruning = otherwise = 0
    for entry in record.entries:
        if entry.state not in ("complete", "pruned") or not entry.planned:
            continue
        planned += entry.planned
        missing = max(0, entry.planned - entry.epochs)
        if entry.state == "pruned" and entry.value is not None:
            by_pruning += missing
        else:
            otherwise += missing
    return Saved(planned, by_pruning, otherwise)


def edges(record: Record) -> list[Edge]:
    """The ranges at an end of which the best trial lies."""
    tried = [one.params for one in (*record.finished, *record.never_finite)]
    return rule.edges(record.best.params, tried, record.searched, record.declared)


def considered(record: Record) -> list[Entry]:
    """The trials that the one-standard-error rule chooses among: the best ones where replicates have to be added."""
    return record.complete if record.replicates >= REPLICATES else record.complete[:BEST]


def lacking(record: Record) -> list[Entry]:
    """Those of them that have to be trained on more replicates before there is a choice."""
    if record.replicates >= REPLICATES or not strengths(record) or len(record.complete) < 2:
        return []
    return [one for one in considered(record) if one.number not in record.added]


def one_standard_error(record: Record) -> Choice | None:
    """The most strongly regularised trial that is within one standard error of the best.

    The standard error is that of the paired difference: all trials of a replicate share initialisation and batches. In
    a study of fewer than three replicates those that were added count as well, for the best trial too.

    None where replicates are lacking, or finite ones, or where nothing that is searched has a direction of
    regularisation.
    """
    among = considered(record)
    if not among or not strengths(record) or lacking(record):
        return None
    few = record.replicates < REPLICATES
    none = np.empty(0)
    losses = {
        one.number: np.concatenate([one.objectives, record.added.get(one.number, none) if few else none])
        for one in among
    }
    best = min(among, key=lambda one: (losses[one.number].mean(), one.number)) if few else among[0]
    count = len(losses[best.number])
    if not np.isfinite(losses[best.number]).all() or (count < REPLICATES and len(among) > 1):
        return None
    within = [Choice(best, best, 0.0, 0.0, count)]
    for entry in among:
        difference = losses[entry.number] - losses[best.number]
        if entry is best or not np.isfinite(difference).all() or not no_weaker(record, entry, best):
            continue
        mean, error = float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(count))
        if mean <= error:
            within.append(Choice(best, entry, mean, error, count))
    strongest = by_strength(record, [one.chosen for one in within])[-1]
    return next(one for one in within if one.chosen is strongest)
