"""A copy of the study in memory, with everything that samplers read.

Asking a database for a trial costs a query whenever the sampler reads the running trials, and a transaction for each
parameter and attribute. Here the trial is asked of an Optuna study in memory that follows the stored one, and is then
stored as a whole in one transaction. The sampler reads the same trials, so it draws the same values.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from search.record.curves import DIVERGED_AT
from search.technique import Value


class Replica:
    """A study in memory with the trials of a stored one, without their user attributes.

    A trial that diverged late differs from the stored one. It is stored as complete, and TPE ranks every complete trial
    above every pruned one, so that it would sample where trials diverge. Here it counts as pruned, with the value that
    it keeps, at the rung where it was last judged, or at the first rung if it never was.

    Args:
        directions: the directions of the stored study.
        rungs: the epochs at which the pruner judges, ascending; none without a pruner, where complete trials compare by
            value.
        moved: the ranges that were widened after trials were drawn from them. All trials are shown with these ranges:
            samplers do not learn jointly about a hyperparameter that has more than one range.
    """

    def __init__(
        self,
        directions: Sequence[optuna.study.StudyDirection],
        rungs: Sequence[int],
        moved: Mapping[str, BaseDistribution],
    ) -> None:
        self._directions, self._rungs, self._moved = directions, rungs, moved
        self._begin()

    def _begin(self) -> None:
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(storage=self._storage, directions=self._directions)
        self._id = self._storage.get_study_id_from_name(self._study.study_name)
        self._ids: dict[int, int] = {}  # trial ids in memory, by trial number in the stored study
        self._running: set[int] = set()

    def follow(self, trials: Sequence[FrozenTrial]) -> None:
        """Make the copy equal to the stored trials, given by ascending number."""
        if list(self._ids) != [trial.number for trial in trials[: len(self._ids)]]:
            self._begin()  # there is a new trial among the known ones
        for trial in trials:
            if trial.number not in self._ids:
                self._add(trial)
            elif trial.number in self._running:
                self._update(trial)

    def _add(self, trial: FrozenTrial) -> None:
        light = copy.copy(self._ranked(trial))
        light.user_attrs = {}  # the curves are long, and no sampler reads them
        light.distributions = {name: self._moved.get(name, drawn) for name, drawn in trial.distributions.items()}
        self._ids[trial.number] = self._storage.create_new_trial(self._id, light)
        if not trial.state.is_finished():
            self._running.add(trial.number)

    def _ranked(self, trial: FrozenTrial) -> FrozenTrial:
        """Return the trial as a sampler should rank it."""
        if not self._rungs or DIVERGED_AT not in trial.user_attrs or trial.state != TrialState.COMPLETE:
            return trial
        stopped = copy.copy(trial)
        stopped.state = TrialState.PRUNED
        judged = {epoch: value for epoch, value in trial.intermediate_values.items() if epoch in self._rungs}
        if not judged and len(self._directions) == 1:
            assert trial.value is not None
            judged = {self._rungs[0]: trial.value}
        stopped.intermediate_values = judged
        return stopped

    def _update(self, trial: FrozenTrial) -> None:
        trial, trial_id = self._ranked(trial), self._ids[trial.number]
        known = self._storage.get_trial(trial_id)
        for step, value in trial.intermediate_values.items():
            if step not in known.intermediate_values:
                self._storage.set_trial_intermediate_value(trial_id, step, value)
        for key, value in trial.system_attrs.items():
            if key not in known.system_attrs:
                self._storage.set_trial_system_attr(trial_id, key, value)
        if trial.state.is_finished():
            self._storage.set_trial_state_values(trial_id, trial.state, trial.values)
            self._running.discard(trial.number)

    def ask(
        self,
        sampler: BaseSampler,
        suggest: Callable[[optuna.Trial], Mapping[str, Value]],
        known: Mapping[str, Value] | None = None,
    ) -> tuple[FrozenTrial, Mapping[str, Value]]:
        """Ask for a trial; return it and all its values. Once it is stored, `number_asked` says its number.

        Args:
            sampler: the sampler.
            suggest: the function that samples a trial's hyperparameters.
            known: the values of some of them, which are not sampled.
        """
        self._study.sampler = sampler
        if known is not None:
            self._study.enqueue_trial(dict(known))
        trial = self._study.ask()
        values = suggest(trial)
        self._asked = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
        return self._storage.get_trial(self._asked), values

    def number_asked(self, number: int) -> None:
        """Note the number in the stored study of the trial that was asked last."""
        self._ids[number] = self._asked
        self._running.add(number)
