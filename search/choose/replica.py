"""The study in memory, as far as samplers read it.

A trial that is asked of a database costs a query for every look that its sampler takes at the running trials, and a
transaction for each parameter and attribute. Here it is asked of an Optuna study in memory that follows the stored
one, and then stored as a whole in one transaction: the sampler reads the same trials, so it draws the same.
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

    One trial is not as it is stored: one that diverged late is complete, and TPE ranks whatever is complete above
    whatever was pruned, so that it would go where trials diverge. Here it was stopped when it was last judged, at the
    first rung if never, with the value that it keeps.

    Args:
        directions: of the stored study.
        rung: the first at which trials are judged; None where they are not, and all complete ones compare by value.
        widened: the ranges that were widened since trials were drawn from them. All trials are shown with these:
            samplers leave out of what they learn together a hyperparameter that has more than one range.
    """

    def __init__(
        self,
        directions: Sequence[optuna.study.StudyDirection],
        rung: int | None,
        widened: Mapping[str, BaseDistribution] | None = None,
    ) -> None:
        self._directions, self._rung, self._widened = directions, rung, widened or {}
        self._begin()

    def _begin(self) -> None:
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(storage=self._storage, directions=self._directions)
        self._id = self._storage.get_study_id_from_name(self._study.study_name)
        # By number in the stored study: the id here.
        self._ids: dict[int, int] = {}
        self._running: set[int] = set()

    def follow(self, trials: Sequence[FrozenTrial]) -> None:
        """Become equal to the stored trials, which are given by ascending number, without those that still wait."""
        if list(self._ids) != [trial.number for trial in trials[: len(self._ids)]]:
            self._begin()  # a trial has come between those that are known
        for trial in trials:
            if trial.number not in self._ids:
                self._add(trial)
            elif trial.number in self._running:
                self._update(trial)

    def _add(self, trial: FrozenTrial) -> None:
        light = copy.copy(self._ranked(trial))
        # The curves are of no interest to a sampler, and long.
        light.user_attrs = {}
        light.distributions = {name: self._widened.get(name, one) for name, one in trial.distributions.items()}
        self._ids[trial.number] = self._storage.create_new_trial(self._id, light)
        if not trial.state.is_finished():
            self._running.add(trial.number)

    def _ranked(self, trial: FrozenTrial) -> FrozenTrial:
        """The trial, or what a sampler is to take it for."""
        if self._rung is None or DIVERGED_AT not in trial.user_attrs or trial.state != TrialState.COMPLETE:
            return trial
        stopped = copy.copy(trial)
        stopped.state = TrialState.PRUNED
        if not trial.intermediate_values and len(self._directions) == 1:
            assert trial.value is not None
            stopped.intermediate_values = {self._rung: trial.value}
        return stopped

    def _update(self, trial: FrozenTrial) -> None:
        trial, mine = self._ranked(trial), self._ids[trial.number]
        known = self._storage.get_trial(mine)
        for step, value in trial.intermediate_values.items():
            if step not in known.intermediate_values:
                self._storage.set_trial_intermediate_value(mine, step, value)
        for key, value in trial.system_attrs.items():
            if key not in known.system_attrs:
                self._storage.set_trial_system_attr(mine, key, value)
        if trial.state.is_finished():
            self._storage.set_trial_state_values(mine, trial.state, trial.values)
            self._running.discard(trial.number)

    def ask(
        self, sampler: BaseSampler, suggest: Callable[[optuna.Trial], Mapping[str, Value]]
    ) -> tuple[FrozenTrial, Mapping[str, Value]]:
        """Ask a trial; returns it, to be stored and then `named`, and all its values.

        Args:
            sampler: who chooses.
            suggest: asks a trial for its hyperparameters.
        """
        self._study.sampler = sampler
        trial = self._study.ask()
        values = suggest(trial)
        self._asked = self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)
        return self._storage.get_trial(self._asked), values

    def named(self, number: int) -> None:
        """The trial that was just asked has this number in the stored study."""
        self._ids[number] = self._asked
        self._running.add(number)
