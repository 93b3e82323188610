"""The next cohort: trials in flight are adopted, missing ones asked, within the total budget (contract C7)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.choose import extending, pruners, samplers
from search.choose.claims import Claims
from search.choose.extending import EXTENSIONS, Extension
from search.choose.peers import COHORT, TICKET
from search.choose.replica import Replica
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.space import Space
from search.record.curves import CELL, EPOCHS
from search.record.objectives import Objectives, reported
from search.record.observer import Asked
from search.technique import Value

_MOST_CELLS = 100_000


class Asker:
    """Asks an Optuna study for cohorts.

    Args:
        study: Optuna's study; its sampler is replaced.
        storage: where it lives: new trials are stored there as a whole.
        recipe: sampler, seed and the size of a cohort.
        space: what is sampled.
        budget: how many trials the study shall have in total, failed ones not counted.
        claims: this process's, where others may run the study too.
        extend: raises RequestError for a space that the study cannot have. Given, a range at whose edge the best trial
            lies once the budget is spent is widened, and the budget with it.

    Attributes:
        space, budget: as they are now.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: RDBStorage,
        recipe: Recipe,
        space: Space,
        budget: int,
        claims: Claims,
        extend: Callable[[Space], object] | None = None,
    ) -> None:
        self.study, self.space, self.budget = study, space, budget
        self.objectives = Objectives(recipe.objective)
        self._base = space.base if isinstance(space, extending.Widened) else space
        self._storage, self._recipe, self._claims, self._extend = storage, recipe, claims, extend
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._rung = min(pruners.build(recipe.pruner, space.longest()).rungs(), default=None)
        self._follow(extending.stored(study.user_attrs))

    def _follow(self, extensions: Sequence[Extension]) -> None:
        """Ask of the space as it has been widened."""
        self._extensions = extensions
        self.space = extending.widened(self._base, extensions)
        self.budget = max(self.budget, extending.total(self.space))
        self._cells = list(self.space.cells()) if self._recipe.sampler == "grid" else []
        moved = {one.name: self.space.searched[one.name] for one in extensions}
        in_storage = self._recipe.sampler in samplers.IN_STORAGE
        self._replica = None if in_storage else Replica(self.study.directions, self._rung, moved)

    def next_cohort(self) -> tuple[int, list[Asked]] | None:
        """The index of the next cohort and its trials that are still to be trained; None when the budget is spent.

        Without trials where all that is left is being trained by other processes: one of them may die.
        """
        with self._claims.turn():
            self._claims.finish()
            # Another process may have decided on one.
            if (extensions := extending.stored(self.study.user_attrs)) != self._extensions:
                self._follow(extensions)
            everyone = self._without_unsound()
            trials = [t for t in everyone if t.state not in (TrialState.FAIL, TrialState.WAITING)]
            running = [t for t in trials if t.state == TrialState.RUNNING]
            cohorts = sorted({t.user_attrs[COHORT] for t in running})
            mine = next((cohort for cohort in cohorts if self._claims.take(cohort)), None)
            last = max((t.user_attrs[COHORT] for t in trials), default=-1)
            if mine is None and len(trials) >= self.budget and (running or not self._go_further(trials)):
                return (last, []) if running else None
            if mine is None:
                mine = last + 1
                if not self._claims.take(mine):  # another's, who has lost its turn and not looked yet
                    return last, []
            asked = [self._adopt(trial) for trial in running if trial.user_attrs[COHORT] == mine]
            return mine, asked + self._missing(mine, trials, everyone)

    def _go_further(self, trials: Sequence[FrozenTrial]) -> bool:
        """Widen a range if that is asked for and the best trial lies at its edge; noted before a trial follows it."""
        if self._extend is None:
            return False
        recipe = self._recipe
        decided = extending.decide(recipe.sampler, recipe.ask_batch, self.space, trials, self._extend)
        if decided is None:
            return False
        extensions = [*self._extensions, decided]
        self.study.set_user_attr(EXTENSIONS, [asdict(one) for one in extensions])
        self._follow(extensions)
        return True

    def _missing(self, cohort: int, trials: Sequence[FrozenTrial], everyone: Sequence[FrozenTrial]) -> list[Asked]:
        """The trials that a cohort still lacks, asked now, unless it has begun to be judged."""
        mine = [t for t in trials if t.user_attrs[COHORT] == cohort]
        if any(reported(t) or t.state.is_finished() for t in mine):
            return []
        missing = min(self._recipe.ask_batch - len(mine), self.budget - len(trials))
        used = {t.user_attrs[TICKET] for t in trials}
        free = (ticket for ticket in itertools.count() if ticket not in used)
        return self._ask(cohort, list(itertools.islice(free, max(0, missing))), everyone)

    def _ask(self, cohort: int, tickets: Sequence[int], everyone: Sequence[FrozenTrial]) -> list[Asked]:
        # Somebody has queued trials: they live in the storage, and are next.
        queued = any(trial.state == TrialState.WAITING for trial in everyone)
        if self._replica is None or queued:
            return [self._ask_stored(cohort, ticket) for ticket in tickets]
        self._replica.follow(everyone)
        return [self._ask_replica(self._replica, cohort, ticket) for ticket in tickets]

    def _ask_replica(self, replica: Replica, cohort: int, ticket: int) -> Asked:
        """Ask in memory, then store the trial as a whole: it is there with all its values, or not at all."""
        space, new = extending.drawn_from(self._recipe.sampler, self.space, ticket)
        sampler = self._sampler(ticket, space)
        asked, values = replica.ask(sampler, space.suggest)
        while new is not None and new not in asked.params:
            asked, values = replica.ask(sampler, space.suggest)  # it exists for some values of others only
        stored = create_trial(
            state=TrialState.RUNNING, params=asked.params, distributions=asked.distributions,
            system_attrs=asked.system_attrs, user_attrs=_attributes(cohort, ticket, values),
        )  # fmt: skip
        trial = _handle(self.study, self._storage.create_new_trial(self._study_id, stored))
        replica.named(trial.number)
        return Asked(trial, values)

    def _ask_stored(self, cohort: int, ticket: int) -> Asked:
        space, _ = extending.drawn_from(self._recipe.sampler, self.space, ticket)
        self.study.sampler = self._sampler(ticket, space)
        if self._cells:
            self._enqueue_cell()
        trial = self.study.ask()
        values = space.suggest(trial)
        for name, value in _attributes(cohort, ticket, values).items():
            trial.set_user_attr(name, value)
        return Asked(trial, values)

    def _sampler(self, ticket: int, space: Space) -> BaseSampler:
        return samplers.build(self._recipe, ticket, space)

    def _adopt(self, frozen: FrozenTrial) -> Asked:
        values = self.space.complete(frozen.params)
        assert values is not None, "half-asked trials have been failed"
        return Asked(handle(self.study, self._storage, frozen.number), values)

    def _without_unsound(self) -> list[FrozenTrial]:
        """All trials, after those are failed that have no parameters to be trained with, or another's ticket.

        The asking of the former was cut off; the latter were asked by a process that had lost its turn.
        """
        trials = self.study.get_trials(deepcopy=False)
        unsound, tickets = [], set()
        for trial in trials:
            if trial.state == TrialState.RUNNING and (not self._is_asked(trial) or trial.user_attrs[TICKET] in tickets):
                unsound.append(trial.number)
            elif trial.state not in (TrialState.FAIL, TrialState.WAITING):
                tickets.add(trial.user_attrs[TICKET])
        for number in unsound:
            self.study.tell(number, state=TrialState.FAIL)
        return self.study.get_trials(deepcopy=False) if unsound else trials

    def _is_asked(self, trial: FrozenTrial) -> bool:
        return EPOCHS in trial.user_attrs and self.space.complete(trial.params) is not None

    def _enqueue_cell(self) -> None:
        """Put the first cell that has no trial, or only failed ones, into the study's queue, where the ask finds it."""
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.state != TrialState.FAIL]
        if any(trial.state == TrialState.WAITING for trial in trials):
            return  # the process died between enqueueing and asking
        there = {trial.user_attrs.get(CELL) for trial in trials}
        index = next(index for index in range(len(self._cells)) if index not in there)
        self.study.enqueue_trial(self._cells[index], user_attrs={CELL: index})


def handle(study: optuna.Study, storage: RDBStorage, number: int) -> optuna.Trial:
    """Optuna's handle on a trial that has all its values, by its number; the study's sampler is replaced."""
    study_id = storage.get_study_id_from_name(study.study_name)
    return _handle(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def _handle(study: optuna.Study, trial_id: int) -> optuna.Trial:
    study.sampler = RandomSampler()  # asked for nothing: all values are there
    return optuna.Trial(study, trial_id)


def _attributes(cohort: int, ticket: int, values: Mapping[str, Value]) -> dict[str, int]:
    # The last one is what tells a trial that was asked to the end.
    return {COHORT: cohort, TICKET: ticket, EPOCHS: int(values["epochs"])}


def grid_size(space: Space) -> int:
    """How many cells a grid over the space has; raises RequestError where they are too many to queue."""
    count = space.cell_count()
    if count > _MOST_CELLS:
        raise RequestError(f"the grid has more than {_MOST_CELLS:,} cells: give fewer --grid-points or hyperparameters")
    return count
