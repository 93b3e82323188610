"""Train trials again for what each validation row contributes to their objectives; read the folds of the others.

What has been trained is kept in the study (`search.record.contributions`), so that a decision which is interrupted, or
made anew after more trials, trains only what is missing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.decide.evidence import Evidence, Profile
from search.errors import counted
from search.record import contributions as stored
from search.record.curves import Curves
from search.record.summary import losses
from search.report.record import Entry, Record
from search.statistics.crossed import Floats
from search.storage import database
from search.study.progress import Log
from search.study.retrain import Retraining, in_packs, retrain_together
from search.train.contributions import Contributions, blocks_of, contributions
from search.train.metrics.objective import Objective
from search.train.pack import Slot

if TYPE_CHECKING:
    from search.study.study import BaseStudy


class Gathering:
    """What is known of the trials of a study, and what is trained to know more.

    Args:
        study: the study.
        record: its record.
        profiles: the strengths of its trials.
        log: gets lines on what is trained; by default they are shown on stderr.

    Attributes:
        epochs: the number of epochs that have been trained, over all networks; those of earlier decisions count too.
    """

    def __init__(
        self, study: BaseStudy, record: Record, profiles: Mapping[int, Profile], log: Log | None = None
    ) -> None:
        self._study, self._log = study, log
        self._entries: Mapping[int, Entry] = {entry.number: entry for entry in record.entries}
        self._profiles = profiles
        self._cells: dict[int, Floats] = {}
        self._overlap = record.overlap if study.data.folds else None
        self.epochs = 0

    def evidence(self) -> Evidence:
        """Return what is known of all trials that have been added."""
        profiles = {trial: self._profiles[trial] for trial in self._cells if self._profiles.get(trial)}
        recipe = self._study.recipe
        pruned = frozenset(trial for trial in self._cells if self._entries[trial].state == "pruned")
        return Evidence(dict(self._cells), self._overlap, recipe.data.repeats, profiles, recipe.tolerance, pruned)

    def cost(self, trials: Iterable[int], replicates: int) -> int:
        """Return how many epochs it takes to have so many replicates of some trials, over all networks."""
        if self._overlap is not None:
            return sum(self._entries[trial].planned * self._study.recipe.networks for trial in self._pruned(trials))
        return sum(
            self._entries[trial].planned * max(0, replicates - len(self._cells.get(trial, ()))) for trial in trials
        )

    def add(self, trials: Sequence[int], replicates: int) -> None:
        """Add trials, or more replicates of trials; those that diverge are left out.

        Args:
            trials: the numbers of the trials.
            replicates: the number of replicates that each has then; in a cross-validation a trial has those of the
                search.
        """
        self.epochs += self.cost(trials, replicates)
        if self._overlap is not None:
            self._add_folds(trials)
        else:
            self._add_rows(trials, replicates)

    def _pruned(self, trials: Iterable[int]) -> list[int]:
        return [trial for trial in trials if trial not in self._cells and self._entries[trial].state == "pruned"]

    def _add_folds(self, trials: Sequence[int]) -> None:
        """Read the folds of complete trials, and train those to the end that were pruned."""
        study, pruned = self._study, self._pruned(trials)
        networks = range(study.recipe.networks)
        retrainings = [Retraining.of(study, trial, self._entries[trial].params, networks) for trial in pruned]
        what = f"training {counted(len(pruned), 'pruned trial')} to the last epoch, to decide which is chosen"
        trained = retrain_together(retrainings, what, self._log) if retrainings else {}
        for trial in trials:
            curves = trained.get(trial, self._entries[trial].curves)
            assert curves is not None
            cells = nested(curves, study.objectives.first, len(study.batches.folds), study.recipe.data.repeats)
            if np.isfinite(cells).all():
                self._cells[trial] = cells

    def _add_rows(self, trials: Sequence[int], replicates: int) -> None:
        study, attributes = self._study, self._study.optuna_study.user_attrs
        kept = {trial: stored.noted(attributes, trial) for trial in trials}
        lacking = {trial: range(0 if one is None else len(one), replicates) for trial, one in kept.items()}
        retrainings = [
            Retraining.of(study, trial, self._entries[trial].params, wanted)
            for trial, wanted in lacking.items()
            if wanted
        ]
        found = {(one.trial, one.replicate): one.values for one in self._train(retrainings)}
        with database.faults(study.storage):
            for one in retrainings:
                rows = one.program.own(study.batches, 0)
                missing = np.full(blocks_of(one.program, len(rows.x_val)).count, np.nan)
                new = np.stack([found.get((one.trial, replicate), missing) for replicate in one.replicates])
                old = kept[one.trial]
                stored.note(study.optuna_study, one.trial, new if old is None else np.concatenate([old, new]))
        for trial in trials:
            values = stored.noted(study.optuna_study.user_attrs, trial)
            assert values is not None
            if np.isfinite(values[:replicates]).all():
                self._cells[trial] = study.objectives.first.loss(values[:replicates])
            else:
                self._cells.pop(trial, None)

    def _train(self, retrainings: Sequence[Retraining]) -> Iterable[Contributions]:
        if not retrainings:
            return ()
        networks = sum(len(one.replicates) for one in retrainings)
        of = counted(len(retrainings), "trial")
        what = f"training {counted(networks, 'network')} of {of}, to decide which is chosen"
        return in_packs(retrainings, contributions_of, what, self._log)


def contributions_of(owner: Retraining, slots: Sequence[Slot]) -> Generator[Contributions | int]:
    """Train a pack and yield the contributions of its slots; before them, numbers of epochs that have been trained."""
    program, batches = owner.program, owner.study.batches
    for trained in contributions(program.deciding(), program.own(batches, slots[0].replicate), slots):
        yield len(slots) if trained is None else trained


def nested(curves: Curves, aim: Objective, folds: int, repeats: int) -> Floats:
    """Return the loss of each fold at the epoch that is the best one on the other folds, ``replicates x folds``.

    Args:
        curves: the curves of a trial, whose network number r trains on fold r modulo `folds`.
        aim: the objective.
        folds: the number of folds over all repeats; the folds of one repeat follow one another.
        repeats: the number of repeats. Other folds are those of the same repeat, of which no row validates twice.
    """
    values = losses(curves, aim).reshape(-1, folds, curves.epochs)
    own = folds // repeats
    found = np.full(values.shape[:2], np.inf)
    for fold in range(folds):
        first = fold // own * own
        others = [one for one in range(first, first + own) if one != fold]
        mean = values[:, others].mean((0, 1))
        found[:, fold] = values[:, fold, int(mean.argmin())]
    return found
