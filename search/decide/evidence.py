"""What is known of some trials: what each block of validation rows, or each fold, contributes to their objectives.

    cells of trials  -->  paired differences  -->  a choice  -->  the value of the choice, free of its luck

The difference. Replicates and rows are both samples (`search.statistics.crossed`). Few replicates hardly tell by how
much the difference of two trials varies over them; but all pairs of trials tell it together. With m_tr the mean of
trial t in replicate r, the variance of a difference's replicates is at least

``2 sum_tr (m_tr - m_t. - m_.r + m_..)^2 / ((T - 1) (R - 1))``,

the interaction of T trials and the R replicates that all of them have.

The choice. The best trial has the lowest mean loss. Where techniques have a direction of stronger regularisation, the
most strongly regularised trial is chosen that is as strong as the best one in every hyperparameter, and whose loss is
higher by no more than the tolerance.

The value of the choice. The rows that choose a trial flatter it. So the choice is made anew without a tenth of the
blocks, and these measure what it chooses; each tenth takes its turn, in several random cuts. In a cross-validation each
fold takes its turn. The mean over all of them is the value, on rows that have not chosen, of trials that are chosen
like this one. Its variance is that of the chosen trial's own mean, and half of the square of the luck that is taken
off: as other rows would choose another trial, the luck is known no better than to such a part. (In simulations of 32
trials the 95% intervals then cover
92% to 98%; `benchmarks/winner.py` has them.)

Sources: Varma and Simon, "Bias in error estimation when using cross-validation for model selection" (BMC Bioinformatics
7, 2006) and Tsamardinos, Greasidou and Borboudakis, "Bootstrapping the out-of-sample predictions for efficient and
accurate cross-validation" (Machine Learning 107, 2018). The latter resample rows, which is as pessimistic as choosing
on half of them: in the simulations by up to 60% of the luck, where leaving out a tenth has a bias below 10%.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.statistics.crossed import Estimate, Floats, crossed
from search.statistics.sampled import sampled
from search.statistics.skewed import asymmetry, skewed_interval

PARTS = 10
_CUTS = 10
_FEWEST = 2 * PARTS

Profile = Sequence[float]
"""The strength of each hyperparameter that has a direction of stronger regularisation, from 0 to 1."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """The contributions to the objectives of some trials, as losses, which are lower for the better trial.

    Attributes:
        cells: by trial, ``replicates x blocks``. Trials may differ in the number of replicates; those of a number are
            paired.
        overlap: the overlap of folds (`search.data.folds.overlap`), of which each block is one; None if the blocks are
            of rows.
        repeats: how often the rows are cut into folds; the folds of one repeat follow one another.
        profiles: the strengths of each trial; empty if no hyperparameter has a direction.
        tolerance: the difference that does not matter, as a share of the best trial's loss.
        pruned: the trials that the search has pruned. They say which strengths are as good, but none is the best or is
            chosen.
        finalists: the trials of which one is the best and one is chosen; by default those that are complete and have
            the most replicates, because two replicates may flatter a trial.
    """

    cells: Mapping[int, Floats]
    overlap: float | None = None
    repeats: int = 1
    profiles: Mapping[int, Profile] = field(default_factory=dict)
    tolerance: float = 0.0
    pruned: Collection[int] = ()
    finalists: Collection[int] = ()

    def replicates(self, trial: int) -> int:
        """Return the number of replicates of a trial."""
        return len(self.cells[trial])

    def mean(self, trial: int) -> float:
        """Return the mean loss of a trial over all its cells."""
        return float(self.cells[trial].mean())

    def estimate(self, cells: Floats, *, pair: bool = False) -> Estimate:
        """Return the mean of cells ``replicates x blocks`` with its uncertainty.

        Args:
            cells: the contributions to one objective, or to a difference.
            pair: whether they are the difference of two of the trials.
        """
        if self.overlap is not None:
            return sampled(cells.mean(0), self.overlap)
        return crossed(cells, self._interaction if pair else None) if len(cells) > 1 else sampled(cells[0])

    @cached_property
    def _interaction(self) -> tuple[float, int] | None:
        """The variance of a difference's replicates over all pairs of trials, with its degrees of freedom."""
        common = min(map(len, self.cells.values()))
        freedom = (len(self.cells) - 1) * (common - 1)
        if not freedom:
            return None
        means = np.array([cells[:common].mean(1) for cells in self.cells.values()])
        rest = means - means.mean(1, keepdims=True) - means.mean(0) + means.mean()
        return 2 * float(np.square(rest).sum()) / freedom, freedom

    def difference(self, first: int, second: int, further: float | None = None) -> Estimate:
        """Return the loss of the first trial minus that of the second, over the replicates that both have.

        Args:
            first, second: the trials.
            further: the difference in a block that is added to those there are.
        """
        cells = self._paired(first, second)
        if further is not None:
            cells = np.column_stack([cells, np.full(len(cells), further)])
        return self.estimate(cells, pair=True)

    def of_blocks(self, first: int, second: int) -> Floats:
        """Return the first trial's loss minus the second's in each block, ``(blocks,)``."""
        return np.asarray(self._paired(first, second).mean(0))

    def _paired(self, first: int, second: int) -> Floats:
        both = min(self.replicates(first), self.replicates(second))
        return self.cells[first][:both] - self.cells[second][:both]

    def best(self) -> int:
        """Return the finalist with the lowest mean loss over the replicates that all finalists have."""
        eligible = self.eligible
        common = min(map(self.replicates, eligible))
        return min(eligible, key=lambda trial: (float(self.cells[trial][:common].mean()), trial))

    @property
    def eligible(self) -> list[int]:
        """The finalists."""
        if self.finalists:
            return list(self.finalists)
        most = max(map(self.replicates, self.complete))
        return [trial for trial in self.complete if self.replicates(trial) == most]

    @property
    def complete(self) -> list[int]:
        """The trials that the search has not pruned."""
        return [trial for trial in self.cells if trial not in self.pruned]

    def choice(self, among: Collection[int] | None = None) -> int:
        """Return the trial that is chosen: see above.

        Args:
            among: the trials of which it is one, the best one among them; by default all finalists.
        """
        best = self.best()
        if not self.profiles:
            return best
        within, most = [best], self.tolerance * abs(self.mean(best))
        for trial in (one for one in self.eligible if among is None or one in among):
            as_strong = np.all(np.asarray(self.profiles[trial]) >= np.asarray(self.profiles[best]))
            if trial != best and as_strong and self._paired(trial, best).mean() <= most:
                within.append(trial)
        return max(within, key=lambda trial: (float(np.mean(self.profiles[trial])), -self.mean(trial), -trial))

    def corrected(self, chosen: int) -> Estimate:
        """Return the loss of the choice on rows that have not chosen it.

        Args:
            chosen: the trial that all rows have chosen.

        Raises:
            ValueError: there are too few blocks or folds to leave some out.
        """
        own = self.cells[chosen]
        held_out = np.zeros(own.shape[1])
        cuts = list(self._cuts())
        for held, others in cuts:
            picked = self._of(others).choice()
            held_out[held] += own.mean(0)[held] + self._paired(picked, chosen).mean(0)[held]
        turns = np.sum([held for held, _ in cuts], axis=0)
        value, whole = float((held_out / turns).mean()), self.estimate(own)
        variance = whole.variance + (value - whole.value) ** 2 / 2
        return replace(whole, value=np.asarray(value), variance=np.asarray(variance))

    def interval(self, chosen: int, found: Estimate) -> tuple[float, float]:
        """Return the low and high ends of the 95% interval of the loss of the choice on new rows.

        Rows may lack the largest losses that there are, and their variance is then too small as well. So the high end
        is shifted by what a row more adds to the mean of n rows if its loss is the largest: ``(max - mean) / (n + 1)``.

        Args:
            chosen: the trial that all rows have chosen.
            found: what `corrected` returns for it.
        """
        low, high = skewed_interval(found, self.asymmetry(chosen))
        if self.overlap is None:
            rows = self.cells[chosen].mean(0)
            high += float(rows.max() - rows.mean()) / (len(rows) + 1)
        return low, high

    def asymmetry(self, trial: int) -> float:
        """Return the asymmetry of a trial's mean loss (`search.statistics.skewed`): of rows, as far as they vary it.

        Folds are too few to tell it.
        """
        if self.overlap is not None:
            return 0.0
        of_rows = float(self.estimate(self.cells[trial]).example_share)
        return asymmetry(np.asarray(self.cells[trial].mean(0))) * float(of_rows**1.5)

    def _cuts(self) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
        """Yield pairs of blocks that measure, and of blocks that choose, as masks ``(blocks,)``."""
        count = next(iter(self.cells.values())).shape[1]
        if self.overlap is not None:
            of_repeat = np.arange(count) // (count // self.repeats)
            if count // self.repeats < 3:
                raise ValueError(f"takes three folds or more, got {count // self.repeats}")
            for fold in range(count):
                held = np.arange(count) == fold
                yield held, (of_repeat == of_repeat[fold]) & ~held
            return
        if count < _FEWEST:
            raise ValueError(f"takes {_FEWEST} rows or more, got {count}")
        rng = np.random.default_rng(0)
        for _ in range(_CUTS):
            part = rng.permutation(count) % PARTS
            for number in range(PARTS):
                yield part == number, part != number

    def _of(self, blocks: NDArray[np.bool_]) -> Evidence:
        return replace(self, cells={trial: cells[:, blocks] for trial, cells in self.cells.items()})
