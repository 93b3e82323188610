"""Ask for the next cohort: adopt trials in flight, ask for missing ones, within the total budget (contract C7)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import optuna
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.choose import pruners, samplers
from search.choose.claims import Claims
from search.choose.others import ENQUEUED, as_drawn
from search.choose.replica import Replica
from search.choose.until import Until
from search.recipe import Recipe
from search.recipe.space import Space
from search.record.curves import CELL, EPOCHS, REFUSED
from search.record.objectives import Objectives, reported
from search.record.observer import Asked
from search.record.own import COHORT, TICKET, is_own, own
from search.record.recorder import Recorder
from search.technique import Value


@dataclass(frozen=True)
class Region:
    """A part of a space, and the trials that are drawn from it alone.

    Attributes:
        tickets: the tickets of the trials.
        space: the part.
        required: a hyperparameter that each of the trials must have, though it exists only for some values of others.
    """

    tickets: range
    space: Space
    required: str | None = None


class Asker:
    """Asks an Optuna study for cohorts of trials.

    Args:
        study: the Optuna study; its sampler is replaced.
        storage: the study's storage, in which each new trial is stored as a whole.
        recipe: the study's recipe, for its sampler, seed and cohort size.
        space: the space to sample.
        budget: the total number of trials, without failed ones.
        claims: the claims of this process on cohorts; other processes may run the study too.
        objectives: the study's objectives, if some are not built in.
        until: the rule by which the study ends before its budget is spent; None for no rule.

    Attributes:
        space, budget: the space and the budget now; see `ask_from`.
        recorder: writes the results of the trials; what it has not written yet counts in the asks.
    """

    def __init__(
        self,
        study: optuna.Study,
        storage: RDBStorage,
        recipe: Recipe,
        space: Space,
        budget: int,
        claims: Claims,
        objectives: Objectives | None = None,
        until: Until | None = None,
    ) -> None:
        self.study, self.objectives = study, objectives or Objectives.of_recipe(recipe)
        self.recorder = Recorder(study, storage)
        self._storage, self._recipe, self._claims, self._until = storage, recipe, claims, until
        self._mine: set[int] = set()  # the cohorts that this process has trained
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._rungs = pruners.build(recipe.pruner, space.longest(), objectives=self.objectives).rungs()
        self.ask_from(space, budget)

    def ask_from(self, space: Space, budget: int, regions: Sequence[Region] = ()) -> None:
        """Sample this space from now on, up to this budget.

        Args:
            space: the space to sample.
            budget: the total number of trials.
            regions: the parts of the space from which some trials are drawn.
        """
        self.space, self.budget, self._regions = space, budget, tuple(regions)
        grid = self._recipe.sampler == "grid"
        self._cells = list(space.cells()) if grid else [dict(known.params) for known in space.first]
        in_storage = self._recipe.sampler in samplers.IN_STORAGE
        self._replica = None if in_storage else Replica(self.study.directions, self._rungs, space.moved)

    def next_cohort(self) -> tuple[int, list[Asked]] | None:
        """Return the index of the next cohort and its trials that are still to be trained, or None at the end.

        The end is when the budget is spent, or nothing is left to gain (`search.choose.until`). While other processes
        train all trials that are left, the list is empty. Then call again, because these trials must be adopted if
        their process dies.
        """
        with self.turn():
            return self.next_in_turn()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other processes from asking while the block runs, and give up the claims on cohorts that are done.

        A cohort is done when its results are written: nobody may train it again before.
        """
        with self._claims.turn(), self.recorder.pause():
            self._claims.finish(self.recorder.unwritten())
            yield

    def next_in_turn(self) -> tuple[int, list[Asked]] | None:
        """Return what `next_cohort` returns, inside a `turn`."""
        everyone = self._without_unsound()
        trials = asked_trials(everyone)
        running = [t for t in trials if t.state == TrialState.RUNNING]
        cohorts = sorted({t.user_attrs[COHORT] for t in running})
        if not self._mine.issuperset(cohorts):
            self.recorder.drain()  # another process asks too: it should know all that this ask knows
        cohort = next((cohort for cohort in cohorts if self._claims.take(cohort)), None)
        last = max((t.user_attrs[COHORT] for t in trials), default=-1)
        if cohort is None and (len(trials) >= self.budget or self._is_enough(trials, everyone)):
            self.recorder.drain()  # a range may be widened now, which would let an unfinished cohort grow
            return (last, []) if running else None
        if cohort is None:
            cohort = last + 1
            # It is claimed by a process that has lost its turn and not noticed yet.
            if not self._claims.take(cohort):
                return last, []
        self._mine.add(cohort)
        adopted = [self._adopt(trial) for trial in running if trial.user_attrs[COHORT] == cohort]
        return cohort, adopted + self._missing(cohort, trials, everyone)

    def _is_enough(self, trials: Sequence[FrozenTrial], everyone: Sequence[FrozenTrial]) -> bool:
        """Return whether nothing is left to gain, and all that the user has asked for by its values has been asked."""
        if self._until is None or any(trial.state == TrialState.WAITING for trial in everyone):
            return False
        if next(self._unasked(everyone), None) is not None:
            return False
        return self._until.is_reached(self.study, self.space, trials, self.recorder)

    def _missing(self, cohort: int, trials: Sequence[FrozenTrial], everyone: Sequence[FrozenTrial]) -> list[Asked]:
        """Ask for the trials that a cohort still lacks; for none if it has begun to be judged."""
        present = [t for t in trials if t.user_attrs[COHORT] == cohort]
        if any(reported(t) or t.state.is_finished() for t in present):
            return []
        missing = min(samplers.cohort_size(self._recipe) - len(present), self.budget - len(trials))
        used = {t.user_attrs[TICKET] for t in trials}
        free = (ticket for ticket in itertools.count() if ticket not in used)
        return self._ask(cohort, list(itertools.islice(free, max(0, missing))), everyone)

    def _ask(self, cohort: int, tickets: Sequence[int], everyone: Sequence[FrozenTrial]) -> list[Asked]:
        # Trials that a user has enqueued come next, and are only in the storage.
        enqueued = any(trial.state == TrialState.WAITING for trial in everyone)
        if self._replica is None or enqueued:
            self.recorder.drain()  # the sampler reads the storage
            return [self._ask_stored(cohort, ticket) for ticket in tickets]
        self._replica.follow(self._known(everyone))
        # Each known setting comes before all that is sampled, and comes again if its trial has failed.
        cells = [*self._unasked(everyone), *([None] * len(tickets))]
        return [self._ask_replica(self._replica, cohort, *one) for one in zip(tickets, cells, strict=False)]

    def _ask_replica(self, replica: Replica, cohort: int, ticket: int, cell: int | None) -> Asked:
        """Ask in memory, then store the trial as a whole: it is there with all its values, or not at all."""
        region = self._region(ticket)
        sampler = self._sampler(ticket, region.space)
        if cell is not None:
            asked, values = replica.ask(sampler, self.space.suggest, self._cells[cell])
        else:
            asked, values = replica.ask(sampler, region.space.suggest)
            while region.required is not None and region.required not in asked.params:
                asked, values = replica.ask(sampler, region.space.suggest)
        stored = create_trial(
            state=TrialState.RUNNING,
            params=asked.params,
            distributions=asked.distributions,
            system_attrs=asked.system_attrs,
            user_attrs=({} if cell is None else {CELL: cell}) | _attributes(cohort, ticket, values),
        )
        trial = _handle(self.study, self._storage.create_new_trial(self._study_id, stored))
        replica.number_asked(trial.number)
        return Asked(trial, values)

    def _ask_stored(self, cohort: int, ticket: int) -> Asked:
        space = self._region(ticket).space
        while True:
            self.study.sampler = self._sampler(ticket, space)
            wanted = self._queue_next({COHORT: cohort, TICKET: ticket})
            trial = self.study.ask()
            try:
                values = space.suggest(trial)
                for name in wanted & trial.params.keys() & space.declared.keys():
                    space.declared[name].validate(name, trial.params[name])
                break
            except ValueError as error:
                if not wanted:
                    raise
                trial.set_user_attr(REFUSED, str(error))
                self.study.tell(trial, state=TrialState.FAIL)
        for name, value in _attributes(cohort, ticket, values).items():
            trial.set_user_attr(name, value)
        return Asked(trial, values)

    def _queue_next(self, attributes: Mapping[str, int]) -> set[str]:
        """Mark the trial that `Study.ask` will take from the queue as the study's own; enqueue one if there is none.

        So a trial is the study's own as soon as it runs, also if this process dies before it has all its values. The
        first cell of a grid, or known setting, is enqueued that has no trial, or only failed ones.

        Returns:
            The names of the hyperparameters that were enqueued with it.
        """
        trials = self.study.get_trials(deepcopy=False)
        waiting = next((t for t in trials if t.state == TrialState.WAITING), None)
        if waiting is not None:
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, waiting.number)
            for name, value in attributes.items():
                self._storage.set_trial_user_attr(trial_id, name, value)
            return set(waiting.system_attrs.get(ENQUEUED, ()))
        enqueued, marks = {}, dict(attributes)
        if (cell := next(self._unasked(trials), None)) is not None:
            marks[CELL] = cell
            enqueued = self._cells[cell]
        self.study.enqueue_trial(enqueued, user_attrs=marks)
        return set(enqueued)

    def _unasked(self, everyone: Sequence[FrozenTrial]) -> Iterator[int]:
        """Yield the cells of the grid, or known settings, that have no trial or only failed ones."""
        asked = {trial.user_attrs.get(CELL) for trial in everyone if trial.state != TrialState.FAIL}
        return (cell for cell in range(len(self._cells)) if cell not in asked)

    def _known(self, everyone: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        """Return the trials that samplers learn from: the study's own ones, and those of other programs that fit it."""
        known = (trial if is_own(trial) else as_drawn(trial, self.space) for trial in everyone)
        return [trial for trial in known if trial is not None]

    def _region(self, ticket: int) -> Region:
        """Return what the trial of this ticket is drawn from: a region, or the whole space."""
        whole = Region(range(ticket, ticket + 1), self.space)
        return next((region for region in self._regions if ticket in region.tickets), whole)

    def _sampler(self, ticket: int, space: Space) -> BaseSampler:
        return samplers.build(self._recipe, ticket, space)

    def _adopt(self, frozen: FrozenTrial) -> Asked:
        values = self.space.complete(frozen.params)
        assert values is not None, "half-asked trials have been failed"
        return Asked(handle(self.study, self._storage, frozen.number), values)

    def _without_unsound(self) -> list[FrozenTrial]:
        """Return all trials, after failing those that lack parameters or have the ticket of another trial.

        The asking of the former was cut off; the latter were asked by a process that had lost its turn. What a user has
        enqueued is enqueued again.
        """
        trials = self.recorder.trials()
        unsound, tickets = [], set()
        for trial in asked_trials(trials):
            if trial.state == TrialState.RUNNING and (not self._is_asked(trial) or trial.user_attrs[TICKET] in tickets):
                unsound.append(trial)
            else:
                tickets.add(trial.user_attrs[TICKET])
        for trial in unsound:
            if (wanted := trial.system_attrs.get(ENQUEUED)) and CELL not in trial.user_attrs:
                self.study.enqueue_trial(wanted)
            self.study.tell(trial.number, state=TrialState.FAIL)
        return self.recorder.trials() if unsound else trials

    def _is_asked(self, trial: FrozenTrial) -> bool:
        return EPOCHS in trial.user_attrs and self.space.complete(trial.params) is not None


def asked_trials(everyone: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that count towards the budget: the study's own ones that have not failed."""
    return [trial for trial in own(everyone) if trial.state != TrialState.FAIL]


def handle(study: optuna.Study, storage: RDBStorage, number: int) -> optuna.Trial:
    """Return Optuna's handle on a trial that has all its values; the study's sampler is replaced."""
    study_id = storage.get_study_id_from_name(study.study_name)
    return _handle(study, storage.get_trial_id_from_study_id_trial_number(study_id, number))


def _handle(study: optuna.Study, trial_id: int) -> optuna.Trial:
    study.sampler = RandomSampler()  # it is never asked for a value: all of them are stored
    return optuna.Trial(study, trial_id)


def _attributes(cohort: int, ticket: int, values: Mapping[str, Value]) -> dict[str, int]:
    # Written last, EPOCHS marks a trial that has been asked for all its values.
    return {COHORT: cohort, TICKET: ticket, EPOCHS: int(values["epochs"])}
