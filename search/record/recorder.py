"""Write the results of trials in a thread, in order, while the next trials are asked for and trained.

A result counts from the moment it is added: `Recorder.trials` shows the study as it will be when all results are
written. So the next trials are asked for, and judged, with the same knowledge as if each result were written at once.
A process that dies before a result is written loses that result only. Its trial is still running in the study, and the
next run trains it again, to the same result.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.record.curves import CURVES, DIVERGED_AT, Curves
from search.record.observer import Stop
from search.record.summary import diverged_at, keep, shown_curve
from search.train.metrics.objective import VAL_LOSS, Objective

Told = Callable[[int, TrialState, float | None], object]
"""Called with the number, the state and the value of a trial, like `search.record.observer.Observer.told`."""


@dataclass(frozen=True)
class Result:
    """The result of a trial that has ended.

    Attributes:
        trial: Optuna's handle on the trial.
        cohort: the index of the trial's cohort.
        curves: its curves.
        times: the time at the end of each epoch, in ms since the Unix epoch.
        state: the state to tell, COMPLETE or PRUNED.
        values: the values of the objectives; they are told if the trial is complete.
        constraints: how far the trial is beyond each constraint, by name; one above 0 is violated.
        aim: the first objective of the study.
        rungs: the epochs at which the pruner judges; None if the study has several objectives, for which Optuna stores
            no curve.
    """

    trial: optuna.Trial
    cohort: int
    curves: Curves
    times: Sequence[int]
    state: TrialState
    values: Sequence[float]
    constraints: Mapping[str, float] = field(default_factory=dict)
    aim: Objective = VAL_LOSS
    rungs: Collection[int] | None = ()

    @property
    def number(self) -> int:
        """The number of the trial."""
        return self.trial.number

    @property
    def value(self) -> float | None:
        """The first value, if it is finite and the trial may be chosen."""
        feasible = all(amount <= 0 for amount in self.constraints.values())
        return self.values[0] if feasible and math.isfinite(self.values[0]) else None

    def write(self, study: optuna.Study, show: Callable[[int, float], object]) -> bool:
        """Write the record, then tell the state; return False if another process has told the trial before.

        Args:
            study: the Optuna study.
            show: stores an intermediate value of the trial, given the epoch and the value.
        """
        try:
            for epoch, value in self._shown().items():
                show(epoch, value)
            keep(self.trial, self.curves, self.times, self.aim)
            # Constraints are set already if a process died just before `tell`.
            for name in self.constraints.keys() - self.trial.constraints.keys():
                self.trial.set_constraint(name, self.constraints[name])
        except UpdateFinishedTrialError:
            return False
        values = list(self.values) if self.state == TrialState.COMPLETE else None
        study.tell(self.trial, values, self.state, skip_if_finished=True)
        return True

    def _shown(self) -> dict[int, float]:
        return {} if self.rungs is None else shown_curve(self.curves, self.aim, self.rungs)

    def foreseen(self, running: FrozenTrial) -> FrozenTrial:
        """Return the stored trial, which still runs, as it will be; without the record, which nobody asks or judges by.

        Optuna gives a pruned trial the value that it has reported last, unless that is NaN.
        """
        ended = copy.copy(running)
        ended.user_attrs, ended.system_attrs = dict(running.user_attrs), dict(running.system_attrs)
        if (epoch := diverged_at(self.curves)) is not None:
            ended.user_attrs[DIVERGED_AT] = epoch
        for name in self.constraints.keys() - ended.constraints.keys():
            ended.set_constraint(name, self.constraints[name])
        ended.state = self.state
        if self.state == TrialState.COMPLETE:
            ended.values = [float(value) for value in self.values]
        elif ended.last_step is not None and not math.isnan(last := ended.intermediate_values[ended.last_step]):
            ended.values = [last]
        return ended


class Recorder:
    """Writes results in the order in which they are added, in a thread while `running`.

    A fault of the thread is raised by the next call of any method here, in the thread of the caller. Nothing is written
    after a fault.

    Args:
        study: the Optuna study.
        storage: its storage.
    """

    def __init__(self, study: optuna.Study, storage: RDBStorage) -> None:
        self._study, self._storage = study, storage
        self._study_id = storage.get_study_id_from_name(study.study_name)
        self._queue: deque[Result | Callable[[], object]] = deque()
        self._unwritten: dict[int, Result] = {}
        self._written: deque[Result] = deque()
        self._added = threading.Semaphore(0)
        # The thread writes while it has the lock, and not while the main thread wants it: locks are not fair.
        self._lock, self._may_write = threading.RLock(), threading.Event()
        self._may_write.set()
        self._closed = False
        self._fault: BaseException | None = None

    @contextmanager
    def running(self, told: Told) -> Iterator[None]:
        """Write in a thread while the block runs. All is written at its end, at a `Stop` and at Ctrl-C.

        Args:
            told: called by `report`, and at the end, with each trial whose result has been written.
        """
        self._told = told
        thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        thread.start()
        try:
            with self._all_written():
                yield
        finally:
            self._closed = True
            self._may_write.set()
            self._added.release()
            thread.join()

    @contextmanager
    def _all_written(self) -> Iterator[None]:
        """Write and report what is left when the block ends; after a fault, report what was written before."""
        try:
            try:
                yield
            except KeyboardInterrupt:
                with suppress(Exception):  # the command ends in any case, and nothing is lost
                    self._finish()
                raise
            except Stop:
                self._finish()
                raise
            self._finish()
        except Exception as error:
            if error is self._fault:
                self._tell_written()
            raise

    def add(self, result: Result) -> None:
        """Add a result, which counts from now on."""
        self._unwritten[result.number] = result
        self.then(result)

    def then(self, action: Result | Callable[[], object]) -> None:
        """Call a function, in any thread, when all that has been added before is written."""
        self._queue.append(action)
        self._added.release()

    def trials(self) -> list[FrozenTrial]:
        """Return the study's trials, by number, as they will be when all is written."""
        self._raise()
        # In this order: what is written in between is found finished in the study.
        coming = dict(self._unwritten)
        trials = self._study.get_trials(deepcopy=False)
        return [
            coming[trial.number].foreseen(trial) if trial.number in coming and not trial.state.is_finished() else trial
            for trial in trials
        ]

    def curves(self, number: int) -> Curves:
        """Return the curves of a trial that `trials` shows as finished."""
        coming = self._unwritten.get(number)
        if coming is not None:
            return coming.curves
        # `trials` may have been called before the result was written: what it returned then is without the record.
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        return Curves.decode(self._storage.get_trial(trial_id).user_attrs[CURVES])

    def unwritten(self) -> Collection[int]:
        """Return the cohorts of which a result is not written yet."""
        return {result.cohort for result in list(self._unwritten.values())}

    def report(self) -> None:
        """Call `told` with each trial whose result has been written since the last call."""
        self._tell_written()
        self._raise()

    def _tell_written(self) -> None:
        while self._written:
            result = self._written.popleft()
            self._told(result.number, result.state, result.value)

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Keep the thread from writing while the block runs.

        The block then has Python's interpreter and the database for itself; the writing goes on during training, which
        needs neither.
        """
        self._raise()
        self._may_write.clear()
        try:
            with self._lock:
                yield
        finally:
            self._may_write.set()

    def drain(self) -> None:
        """Write all that is not written, in the thread of the caller; this may be called within `pause`."""
        while True:
            with self._lock:
                self._raise()
                if not self._queue:
                    return
                try:
                    self._write_first()
                except Exception as fault:
                    self._fault = fault  # so that the thread does not try again
                    raise

    def _finish(self) -> None:
        self.drain()
        self.report()

    def _write_all(self) -> None:
        try:
            while True:
                self._added.acquire()
                self._may_write.wait()
                with self._lock:
                    if self._closed or self._fault is not None:
                        return
                    if self._queue:  # the main thread may have written it
                        self._write_first()
        except BaseException as fault:
            self._fault = fault

    def _write_first(self) -> None:
        first = self._queue[0]
        if isinstance(first, Result):
            trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, first.number)
            # Unlike `Trial.report`, this takes a value again that was written before a process died.
            if first.write(self._study, partial(self._storage.set_trial_intermediate_value, trial_id)):
                self._written.append(first)
            del self._unwritten[first.number]
        else:
            first()
        self._queue.popleft()

    def _raise(self) -> None:
        if self._fault is not None:
            raise self._fault
