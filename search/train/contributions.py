"""What each block of validation rows contributes to a network's objective, free of the luck of its best epoch.

A network's objective is that of its best epoch, which the same rows have chosen. So the rows are cut into blocks, and
the blocks into parts. A block's contribution is taken at the epoch that is the best one on all *other* parts: rows
never choose the epoch at which they count themselves.

The contributions c_1 ... c_B of one epoch have the objective as their mean. For a mean over rows with values v_i,

``c_b = m + (B / n) sum_{i in b} (w_i / w) (v_i - m)``,

with the weights of the rows w_i, their mean w, and the weighted mean of all values m. For any other metric they are the
pseudo-values of the jackknife, ``c_b = B t - (B - 1) t_b``, where t is the metric of all rows and t_b that without
block b; they are shifted to have the mean t.

Sources: Varma and Simon, "Bias in error estimation when using cross-validation for model selection" (BMC Bioinformatics
7, 2006); Tukey, "Bias and confidence in not-quite large samples" (1958), in the form of Efron and Tibshirani, "An
introduction to the bootstrap" (1993), ch. 11.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.train import evaluate
from search.train.batches import Batches
from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric
from search.train.metrics.sums import mean, total
from search.train.pack import Pack, Slot
from search.train.program import Program

PARTS = 10
"""The largest number of parts."""
_MOST = 1000  # blocks of a mean over rows
_MOST_OF_METRIC = 50  # blocks of another metric, which is computed without each of them
_MANY_ROWS, _FEWER = 2000, 20  # from so many rows on, it has fewer blocks
_NEAR = 10  # such a metric's contributions are computed at an epoch that is among so many best ones so far
_SEED = 20231  # any number: all studies cut rows of one count alike


class Contributions(NamedTuple):
    """The contributions of the validation rows to the objective of one network.

    Attributes:
        trial: the trial's number.
        replicate: the number of the replicate.
        values: the contribution of each block, ``(blocks,)``, in the units of the objective.
    """

    trial: int
    replicate: int
    values: NDArray[np.float64]


class Blocks:
    """The cut of validation rows into blocks, and of the blocks into parts: at random, and alike for all networks.

    Args:
        rows: the number of rows.
        mean: whether the objective is a mean over rows.

    Attributes:
        of_row: the block of each row, ``(rows,)``.
        count: the number of blocks.
        parts: the part of each block, ``(blocks,)``.
    """

    def __init__(self, rows: int, *, mean: bool) -> None:
        most = _MOST if mean else _FEWER if rows >= _MANY_ROWS else _MOST_OF_METRIC
        self.count = min(rows, most)
        order = np.random.default_rng(_SEED).permutation(rows)
        self.of_row = torch.empty(rows, dtype=torch.int64)
        self.of_row[torch.from_numpy(order)] = torch.arange(rows) % self.count
        self.parts = np.arange(self.count) % min(PARTS, self.count)

    def means(self, values: Tensor, weights: Tensor | None) -> Tensor:
        """Return the contributions to a mean over rows, ``slots x blocks``.

        Args:
            values: the value of each row, ``slots x rows``.
            weights: the weights of the rows, ``(rows,)``; None if all are 1.
        """
        share = torch.ones(values.shape[1], dtype=torch.float64) if weights is None else weights / weights.mean()
        middle = mean(values * share)[:, None]
        sums = values.new_zeros(len(values), self.count).index_add(1, self.of_row, share * (values - middle))
        return middle + sums * (self.count / values.shape[1])

    def pseudo_values(self, metric: Metric, targets: Tensor, predictions: Tensor, weights: Tensor | None) -> Tensor:
        """Return the contributions to another metric, ``slots x blocks``; its arguments are those of `Metric`."""
        whole = metric(targets, predictions, weights)
        without = []
        for block in range(self.count):
            kept = self.of_row != block
            some = None if weights is None else weights[kept]
            without.append(metric(targets[kept], predictions[:, kept], some))
        pseudo = self.count * whole[:, None] - (self.count - 1) * torch.stack(without, 1)
        return pseudo + (whole - mean(pseudo))[:, None]

    def elsewhere(self, contributions: Tensor) -> Tensor:
        """Return the mean of the contributions outside each part, ``slots x parts``."""
        of_part = torch.from_numpy(self.parts)
        sizes = torch.bincount(of_part)
        # A product of matrices would have other bits with other slots, and epochs may be tied.
        inside = contributions.new_zeros(len(contributions), len(sizes)).index_add(1, of_part, contributions)
        return (total(contributions)[:, None] - inside) / (self.count - sizes)

    def held(self, of_parts: Tensor) -> Tensor:
        """Return for each block what is said of its part, ``slots x blocks``."""
        return of_parts[:, torch.from_numpy(self.parts)]


def blocks_of(program: Program, rows: int) -> Blocks:
    """Return the cut of so many validation rows for the objective of a program."""
    return Blocks(rows, mean=_is_mean(program))


def contributions(program: Program, batches: Batches, slots: Sequence[Slot]) -> Generator[Contributions | None]:
    """Train slots, and yield the contributions of the validation rows to the objective of each.

    A slot whose loss is never finite has none. Before that, None is yielded after each epoch, so that the caller can
    stop the training.

    Args:
        program: the program of the slots.
        batches: the data on the device, with at least two validation rows.
        slots: the slots.
    """
    pack = Pack(program, batches, slots)
    measuring = _Measuring(program, pack.batches, len(slots))
    for _ in range(program.epochs):
        stopped = torch.tensor([slot in pack.stopped for slot in pack.slots])
        if stopped.all():
            break
        measured = pack.run_epoch()
        values = measured[program.objective.name].float().double()
        finite = measured["val_loss"].isfinite() & values.isfinite() & ~stopped
        measuring.add(pack, program.objective.loss(values), finite)
        yield None
    for number, slot in enumerate(pack.slots):
        if measuring.known[number]:
            yield Contributions(slot.trial, slot.replicate, program.objective.loss(measuring.values[number].numpy()))


class _Measuring:
    """The contributions at the epochs that have been the best so far on all other parts, as losses."""

    def __init__(self, program: Program, batches: Batches, slots: int) -> None:
        self._program, self._batches = program, batches
        self._blocks = blocks_of(program, len(batches.x_val))
        self._best = torch.full((slots, int(self._blocks.parts.max()) + 1), torch.inf, dtype=torch.float64)
        self._leading = torch.full((slots, _NEAR), torch.inf, dtype=torch.float64)
        self.values = torch.full((slots, self._blocks.count), torch.nan, dtype=torch.float64)
        self.known = torch.zeros(slots, dtype=torch.bool)

    def add(self, pack: Pack, losses: Tensor, finite: Tensor) -> None:
        """Measure an epoch, of which the objective is known as a loss, ``(slots,)``."""
        candidates = finite
        if not _is_mean(self._program):
            # Without a block, another epoch may be the best one, but hardly one that is far behind on all rows.
            candidates = finite & (losses <= self._leading[:, -1])
            ranked = torch.cat([self._leading, torch.where(finite, losses, torch.inf)[:, None]], 1)
            self._leading = ranked.sort(1).values[:, :_NEAR]
        if not candidates.any():
            return
        found = self._program.objective.loss(self._contributions(pack))
        elsewhere = self._blocks.elsewhere(found)
        better = (elsewhere < self._best) & candidates[:, None]
        self._best = torch.where(better, elsewhere, self._best)
        self.values = torch.where(self._blocks.held(better), found, self.values)
        self.known |= better.any(1)

    def _contributions(self, pack: Pack) -> Tensor:
        program, batches = self._program, self._batches
        predictions, targets = pack.predict(batches.x_val), batches.validation
        weights = None if targets.weights is None else targets.weights.double().cpu()
        if _is_mean(program):
            loss, score = evaluate.per_example(program, batches, predictions, targets.values)
            return self._blocks.means((loss if program.objective.is_loss else score).cpu(), weights)
        metric = {**METRICS, **{one.name: one for one in program.metrics}}[program.objective.name]
        read = evaluate.readable(batches, predictions).cpu()
        return self._blocks.pseudo_values(metric, evaluate.truth(batches, targets.values).cpu(), read, weights)


def _is_mean(program: Program) -> bool:
    return program.objective.is_loss or program.objective.name == "val_accuracy"
