"""The next cohort: trials in flight are adopted, missing ones asked, within the total budget (contract C7)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.choose import samplers
from search.choose.pruners import COHORT, TICKET
from search.errors import RequestError
from search.recipe import Recipe
from search.space import Space
from search.technique import Value

CELL = "cell"
"""Trial attribute: the index of the trial's cell in the grid."""
_MOST_CELLS = 100_000


@dataclass(frozen=True)
class Asked:
    """A trial that is to be trained: Optuna's handle on it and all its values, fixed ones too."""

    trial: optuna.Trial
    values: Mapping[str, Value]

    @property
    def number(self) -> int:
        return self.trial.number


class Asker:
    """Asks an Optuna study for cohorts.

    Args:
        study: Optuna's study; its sampler is replaced at each ask.
        storage: where it lives; needed to get a handle on a trial that another process asked for.
        recipe: sampler, seed and the size of a cohort.
        space: what is sampled.
        budget: how many trials the study shall have in total, failed ones not counted.
    """

    def __init__(self, study: optuna.Study, storage: RDBStorage, recipe: Recipe, space: Space, budget: int) -> None:
        self.study, self.budget = study, budget
        self._storage, self._recipe, self._space = storage, recipe, space
        self._cells = list(space.cells()) if recipe.sampler == "grid" else []
        self._fail_half_asked()

    def next_cohort(self) -> tuple[int, list[Asked]] | None:
        """The index of the next cohort and its trials that are still to be trained; None when the budget is spent."""
        trials = [
            t for t in self.study.get_trials(deepcopy=False) if t.state not in (TrialState.FAIL, TrialState.WAITING)
        ]
        running = [t for t in trials if t.state == TrialState.RUNNING]
        if running:
            cohort = running[0].user_attrs[COHORT]
            mine = [t for t in trials if t.user_attrs[COHORT] == cohort]
        else:
            cohort = max((t.user_attrs[COHORT] for t in trials), default=-1) + 1
            mine = []
        asked = [self._adopt(trial) for trial in running]
        if not any(t.intermediate_values or t.state.is_finished() for t in mine):
            missing = min(self._recipe.ask_batch - len(mine), self.budget - len(trials))
            used = {t.user_attrs[TICKET] for t in trials}
            free = (ticket for ticket in itertools.count() if ticket not in used)
            asked += [self._ask(cohort, next(free)) for _ in range(missing)]
        return (cohort, asked) if asked else None

    def _ask(self, cohort: int, ticket: int) -> Asked:
        self.study.sampler = samplers.build(self._recipe.sampler, self._recipe.seed, ticket, self._space)
        if self._cells:
            self._enqueue_cell()
        trial = self.study.ask()
        trial.set_user_attr(COHORT, cohort)
        trial.set_user_attr(TICKET, ticket)
        return Asked(trial, self._space.suggest(trial))

    def _adopt(self, frozen: FrozenTrial) -> Asked:
        values = self._space.complete(frozen.params)
        assert values is not None, "half-asked trials have been failed"
        self.study.sampler = RandomSampler()  # asked for nothing: all values are there
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, frozen.number)
        return Asked(optuna.Trial(self.study, trial_id), values)

    def _fail_half_asked(self) -> None:
        """A trial whose asking was cut off has no parameters to be replayed with; another takes its ticket."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if COHORT not in trial.user_attrs or self._space.complete(trial.params) is None:
                self.study.tell(trial.number, state=TrialState.FAIL)

    def _enqueue_cell(self) -> None:
        """Put the first cell that has no trial, or only failed ones, into the study's queue, where the ask finds it."""
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
        if any(trial.state == TrialState.WAITING for trial in trials):
            return  # the process died between enqueueing and asking
        there = {trial.user_attrs.get(CELL) for trial in trials}
        index = next(index for index in range(len(self._cells)) if index not in there)
        self.study.enqueue_trial(self._cells[index], user_attrs={CELL: index})


def grid_size(space: Space) -> int:
    """How many cells a grid over the space has; raises RequestError where they are too many to queue."""
    count = space.cell_count()
    if count > _MOST_CELLS:
        raise RequestError(f"the grid has more than {_MOST_CELLS:,} cells: give fewer --grid-points or hyperparameters")
    return count
