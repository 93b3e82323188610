"""Which trials are told to be worse than the best one, by their paired differences.

For trial t, d_t is its loss minus that of the best trial, with the standard error s_t. It is told to be worse if

``d_t > q_t s_t``,

where q_t is such that, if some trial is the best, all others of them hold together with 95%: multiple comparisons with
the best. The differences are correlated, as they have the rows and the best trial in common. So the level of each is
that at which the largest of normal variables with the same correlations, over rows, exceeds its bound in 5% of cases;
q_t is the quantile of Student's t at this level, with the degrees of freedom of s_t. Over folds, which are too few for
correlations, the level is that of Bonferroni.

Few rows may lack those that decide: a cross-entropy is small on nearly all rows, and large on a few. So each difference
counts one block more, in which the other trial is better by as much as the two differ in any block. It matters little
among many rows.

Sources: Hsu, "Constrained simultaneous confidence intervals for multiple comparisons with the best" (Annals of
Statistics 12, 1984); Hothorn, Bretz and Westfall, "Simultaneous inference in general parametric models" (Biometrical
Journal 50, 2008), for the level.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from search.decide.evidence import Evidence
from search.statistics.crossed import CONFIDENCE, Estimate

_DRAWS = 20_000


class Comparisons:
    """The comparisons of some trials with the best of them.

    Args:
        evidence: what is known of the trials.

    Attributes:
        evidence: the same.
        best: the best trial.
    """

    def __init__(self, evidence: Evidence) -> None:
        self.evidence, self.best = evidence, evidence.best()
        self._differences = {trial: self._difference(trial) for trial in evidence.cells if trial != self.best}

    def _difference(self, trial: int) -> Estimate:
        evidence, further = self.evidence, None
        if evidence.overlap is None:
            further = -float(np.abs(evidence.of_blocks(trial, self.best)).max())
        return evidence.difference(trial, self.best, further)

    @cached_property
    def tied(self) -> list[int]:
        """The trials that are not told to be worse than the best one, the best ones first; it is among them."""
        rest = [trial for trial, one in self._differences.items() if one.value <= self._quantile(one) * _error(one)]
        return [self.best, *sorted(rest, key=lambda trial: (float(self._differences[trial].value), trial))]

    def most_to_gain(self, trial: int) -> float:
        """Return by how much the loss of a trial may be below that of the best one (one-sided 95%, alone)."""
        one = self._differences[trial]
        return float(stdtrit(one.freedom, CONFIDENCE) * _error(one) - one.value)

    def may_be_told(self, trial: int) -> bool:
        """Return whether a trial could be told to be worse if there were replicates without end.

        The difference is taken to be larger by one standard error of the replicates, and to vary over rows alone.
        """
        one = self._differences[trial]
        of_rows = float(one.variance * one.example_share)
        larger = float(one.value) + float(np.sqrt(one.variance - of_rows))
        return larger > self._quantile(one) * float(np.sqrt(of_rows))

    def _quantile(self, difference: Estimate) -> float:
        return float(stdtrit(difference.freedom, 1 - self._level))

    @cached_property
    def _level(self) -> float:
        """The level of each comparison at which all hold together."""
        alpha, count = 1 - CONFIDENCE, len(self._differences)
        if self.evidence.overlap is not None:
            return alpha / count
        over_rows = np.array([self.evidence.of_blocks(trial, self.best) for trial in self._differences])
        varied = over_rows[over_rows.std(1) > 0]
        if len(varied) < 2:
            return alpha
        # Drawn by the rows' own deviations, the variables have the correlations of the rows.
        deviations = varied - varied.mean(1, keepdims=True)
        deviations /= np.linalg.norm(deviations, axis=1, keepdims=True)
        largest = (_normal(deviations.shape[1]) @ deviations.T).max(1)
        return float(1 - ndtr(np.quantile(largest, CONFIDENCE)))


@lru_cache(maxsize=1)
def _normal(columns: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((_DRAWS, columns), dtype=np.float32)


def _error(difference: Estimate) -> float:
    return float(np.sqrt(difference.variance))
