"""The statistics of a report: rank correlations of rungs, epochs saved, edges, the one-standard-error choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.choose import edges as edge_rule
from search.choose.edges import Edge
from search.report.record import Entry, Floats, Record
from search.report.strength import by_strength, no_weaker, strengths
from search.statistics.sampled import sampled

REPLICATES = 3
"""The fewest replicates that give a standard error."""
BEST, MORE = 10, 5
"""In a study with fewer replicates, the `BEST` best trials are trained on `MORE` replicates more."""


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation between the objective at a rung and the final one.

    Attributes:
        rung: the epoch of the rung.
        n: the number of trials.
        rho: the correlation; None if it cannot be computed.
    """

    rung: int
    n: int
    rho: float | None


@dataclass(frozen=True)
class Saved:
    """The epochs of finished trials.

    Attributes:
        planned: the epochs that were planned.
        by_pruning: the epochs that were not trained because of pruning.
        otherwise: the epochs that were not trained because of early stopping or divergence.
    """

    planned: int
    by_pruning: int
    otherwise: int

    @property
    def share(self) -> float:
        """The share of the planned epochs that pruning saved."""
        return self.by_pruning / self.planned if self.planned else 0.0


@dataclass(frozen=True)
class Choice:
    """The choice of the one-standard-error rule.

    Attributes:
        best: the trial with the best mean objective over the replicates.
        chosen: the most strongly regularised trial whose objective is within one standard error of the best one's.
        difference: the mean over replicates of by how much the chosen trial's objective is worse than the best one's.
        error: the standard error of that mean.
        replicates: the number of replicates, including those that were added.
    """

    best: Entry
    chosen: Entry
    difference: float
    error: float
    replicates: int


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation with mean ranks for ties; None for fewer than three pairs or a constant."""
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(np.corrcoef(_ranks(x), _ranks(y))[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    _, places, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def correlations(record: Record) -> list[Correlation]:
    """Return the correlation of each rung, over the complete trials that reported there."""
    correlations = []
    for rung in sorted({rung for entry in record.entries for rung in entry.reported}):
        pairs = [(one.reported[rung], one.objective) for one in record.complete if rung in one.reported]
        finite = [(early, final) for early, final in pairs if math.isfinite(early)]
        rho = spearman([early for early, _ in finite], [final for _, final in finite])
        correlations.append(Correlation(rung, len(finite), rho))
    return correlations


def saved(record: Record) -> Saved:
    """Return how many epochs were not trained, because of pruning or otherwise."""
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


def edges(record: Record, entry: Entry | None = None) -> list[Edge]:
    """Return the ranges at whose end a trial lies, by default the best one."""
    tried = [one.params for one in (*record.finished, *record.never_finite)]
    return edge_rule.edges((entry or record.best).params, tried, record.searched, record.declared)


def considered(record: Record) -> list[Entry]:
    """Return the trials that the one-standard-error rule chooses among: only the best if replicates must be added."""
    return record.feasible if record.replicates >= REPLICATES else record.feasible[:BEST]


def lacking(record: Record) -> list[Entry]:
    """Return those that must be trained on more replicates before the rule can choose."""
    if record.replicates >= REPLICATES or not strengths(record) or len(record.complete) < 2:
        return []
    return [one for one in considered(record) if one.number not in record.added]


def one_standard_error(record: Record) -> Choice | None:
    """Return the most strongly regularised trial that is within one standard error of the best one.

    The standard error is that of the paired difference, because all trials of a replicate share initialisation and
    batches. In a study with fewer than three replicates those that were added count too, also in choosing the best.
    In a cross-validation the error allows for the training rows that folds share: Nadeau and Bengio, "Inference for the
    generalization error" (Machine Learning 52, 2003).

    None is returned if the best trial lacks replicates with a finite loss, or if no searched hyperparameter has a
    direction of regularisation.
    """
    candidates = considered(record)
    if not candidates or not strengths(record) or lacking(record):
        return None
    few = record.replicates < REPLICATES
    losses = {entry.number: _losses(record, entry, few) for entry in candidates}
    best = candidates[0]
    if few:
        best = min(candidates, key=lambda entry: (losses[entry.number].mean(), entry.number))
    count = len(losses[best.number])
    if not np.isfinite(losses[best.number]).all() or (count < REPLICATES and len(candidates) > 1):
        return None
    within = [Choice(best, best, 0.0, 0.0, count)]
    for entry in candidates:
        difference = losses[entry.number] - losses[best.number]
        if entry is best or not np.isfinite(difference).all() or not no_weaker(record, entry, best):
            continue
        estimate = sampled(difference, record.overlap)
        mean, error = float(estimate.value), math.sqrt(float(estimate.variance))
        if mean <= error:
            within.append(Choice(best, entry, mean, error, count))
    strongest = by_strength(record, [choice.chosen for choice in within])[-1]
    return next(choice for choice in within if choice.chosen is strongest)


def _losses(record: Record, entry: Entry, few: bool) -> Floats:
    """Return a trial's objectives as losses, ``(replicates,)``, infinite where there is none.

    Those that were added are among them if the study has few replicates.
    """
    values = entry.objectives
    if few and entry.number in record.added:
        values = np.concatenate([values, record.added[entry.number]])
    return np.where(np.isfinite(values), record.aim.loss(values), np.inf)
