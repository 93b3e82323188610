"""Train the variants of a trial on fresh replicates, and measure the objective on the validation rows.

On one split, a variant's objective has a value for each replicate and validation row, at each replicate's best epoch as
in the search. Both are samples, so differences have the crossed variance of `search.statistics.crossed`, or the
bootstrap where the objective is no mean over rows. In a cross-validation it has a value for each fold, and differences
have the variance of `search.statistics.sampled`. All variants have the same replicates, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from torch import Tensor

from search.compare import arms, scoring
from search.compare.across_folds import AcrossFolds
from search.compare.pairs import Arm, Difference, Pair, mean_difference, mean_interval, weighted
from search.compare.scoring import Scoring
from search.errors import RequestError, counted
from search.show.interval import Interval
from search.statistics.crossed import Floats
from search.study.progress import Log
from search.study.retrain import Retraining, retrain, retrain_objectives
from search.study.study import BaseStudy
from search.technique import Value
from search.train.batches import Batches, Targets
from search.train.pack import Pack
from search.train.program import Program

FIRST = 2**30
"""The number of the first fresh replicate; searches number theirs from 0, comparisons from 1,000, reports from 2^31."""

MOST = 1000
USUAL = 10

Variant = frozenset[str]
"""The techniques that are switched; none for the trial itself."""
Trained = dict[Variant, Arm | int]
"""The measures of variants, or how many of a variant's networks never had a finite loss, if any had none."""


class ValidationLoss(Scoring):
    """The validation loss, a mean over rows."""

    name, higher, label = "loss", False, "validation loss"
    unit, axis = "of validation loss", "validation loss"

    def interval(self, arm: Arm) -> Interval:
        return mean_interval(arm.losses)

    def contrast(self, arms: Sequence[Arm], weights: Sequence[float], family: int = 1) -> Difference:
        return mean_difference(weighted([arm.losses for arm in arms], weights), family)

    def remarks(self, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
        del arms, pairs
        return []


@dataclass(frozen=True)
class Plan:
    """How the variants of a trial are trained and measured.

    Attributes:
        study: the study.
        trial: the number of the trial.
        replicates: the number of fresh replicates of each variant; in a cross-validation, of each fold.
    """

    study: BaseStudy
    trial: int
    replicates: int

    @classmethod
    def of(cls, study: BaseStudy, trial: int, replicates: int | None) -> Plan:
        """Return the plan for so many replicates; by default, for at least ten networks of each variant.

        Raises:
            RequestError: so many replicates, or so few validation rows, give no interval.
        """
        folds = len(study.data.folds)
        least = 1 if folds else 2
        if replicates is None:
            replicates = -(-USUAL // max(1, folds))
        if not least <= replicates <= MOST:
            raise RequestError(f"replicates must be from {least} to {MOST:,}, got {replicates}")
        if not folds and (rows := len(study.data.x_val)) < 2:
            raise RequestError(
                f"study {study.name!r} has {counted(rows, 'validation row')}: an interval needs at least two"
            )
        return cls(study, trial, replicates)

    @property
    def networks(self) -> int:
        """The number of networks of each variant."""
        return self.replicates * max(1, len(self.study.data.folds))

    @cached_property
    def scoring(self) -> Scoring:
        """What differences are of, and how their intervals are computed."""
        first, data = self.study.objectives.first, self.study.data
        if data.folds:
            return AcrossFolds(scoring.choose([self.study], None if first.is_loss else first.name), data)
        return ValidationLoss() if first.is_loss else scoring.choose([self.study], first.name)

    @property
    def label(self) -> str:
        """What sentences and axes call the objective."""
        return self.study.objectives.first.shown

    @property
    def unit(self) -> str:
        """What follows a value: " points" for an accuracy, which is in percent."""
        return " points" if self.study.objectives.first.name == "val_accuracy" else ""

    @property
    def counts(self) -> str:
        """What a mean is over."""
        replicates, folds = counted(self.replicates, "fresh replicate"), len(self.study.data.folds)
        if folds:
            return f"{folds} folds x {replicates}"
        return f"{replicates}, {counted(len(self.study.data.x_val), 'validation row')}"

    def objective(self, variant: Arm | int) -> float | None:
        """Return the objective of a variant; None if a network of it never had a finite loss."""
        return self.scoring.interval(variant).value if isinstance(variant, Arm) else None

    def train(
        self, variants: Mapping[Variant, Mapping[str, Value]], log: Log | None = None
    ) -> dict[Variant, Arm | int]:
        """Train variants on fresh replicates, together in packs, and return their measures.

        Args:
            variants: all values of each variant's hyperparameters.
            log: see `search.study.retrain.retrain`.
        """
        programs: dict[int, Program] = {}
        retrainings = []
        for place, values in enumerate(variants.values()):
            program = self.study.program(values)
            # One object for all variants of a program, so that they train in common packs.
            deciding = programs.setdefault(id(program), program.deciding())
            numbers = range(FIRST, FIRST + self.networks)
            retrainings.append(Retraining(self.study, place, deciding, self.study.numeric(values), numbers))
        what = f"training {counted(len(variants), 'variant')} of trial {self.trial} on {self.counts.partition(',')[0]}"
        if self.study.data.folds:
            found = retrain_objectives(retrainings, what, log)
            return {variant: self._of_folds(found[place]) for place, variant in enumerate(variants)}
        networks: dict[int, dict[int, Pack]] = {}
        for one in retrain(retrainings, what, log):
            networks.setdefault(one.trial, {})[one.replicate] = one.network
        return {variant: self._of_rows(networks.get(place, {})) for place, variant in enumerate(variants)}

    def _of_rows(self, networks: Mapping[int, Pack]) -> Arm | int:
        if len(networks) < self.networks:
            return self.networks - len(networks)
        ordered = [networks[number] for number in sorted(networks)]
        return arms.of_rows(self._arm(), ordered, self.scoring, _validation_rows)

    def _of_folds(self, values: Floats) -> Arm | int:
        """Return the measures of a variant from the objective of its networks, ``(networks,)``."""
        if not (finite := np.isfinite(values)).all():
            return int((~finite).sum())
        folds = len(self.study.data.folds)
        # Fresh replicates are numbered from a number that need not be a multiple of the number of folds.
        of = (FIRST + np.arange(len(values))) % folds
        factor = 100.0 if self.unit else 1.0
        means = np.array([values[of == fold].mean() for fold in range(folds)])
        return replace(self._arm(), scores=factor * means)

    def _arm(self) -> Arm:
        empty = np.empty(0)
        return Arm(self.study.name, self.trial, {}, "", 0, 0.0, empty, empty, 0)


def _validation_rows(batches: Batches) -> tuple[Tensor, Targets]:
    return batches.x_val, batches.validation
