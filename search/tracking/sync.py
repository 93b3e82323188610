"""Compare MLflow with the study, and correct what differs. This module imports mlflow and optuna."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import optuna
import requests
import sqlalchemy.exc
from mlflow.exceptions import MlflowException
from optuna.trial import FrozenTrial

from search.errors import EnvironmentFault
from search.record import curves as record
from search.record.decision import kept
from search.record.objectives import VAL_LOSS, Objectives
from search.record.own import is_own, own
from search.record.stored import stored_recipe
from search.storage.database import connect
from search.tracking.attached import recipe_text, trials_text
from search.tracking.live import Live
from search.tracking.page import NOTE_TAG, study_view
from search.tracking.plan import as_text, clean_key, params_text, plan_trial, so_far, trial_times
from search.tracking.reach import StorageAway, answering
from search.tracking.system import SystemMetrics
from search.tracking.view import MlflowView

_SLICE = 5.0  # seconds of catching up after which the trials in training have their turn
_SHOW = 10.0  # seconds between two looks at the trials in training: each costs a call for every one of them
LOOK_AGAIN = 10.0
"""Seconds after which the study is read in any case, because other machines do not report their trials."""


class StudySync:
    """Keeps MLflow's view of a study up to date, step by step.

    Args:
        study: the name of the study.
        storage: the URL of its storage.
        tracking_uri: the tracking URI of MLflow.
        experiment: MLflow's experiment.
        system: what measures the load of this machine, which trains; None if another one may.

    Attributes:
        progressed: whether the last step got something done before it ended or failed.
        unreadable: the trials whose record cannot be read, and the reason.
        finished: the number of finished trials when the study was last read.
        written: the trials whose runs differed from their record before.
    """

    FAULTS: tuple[type[Exception], ...] = (
        *(StorageAway, MlflowException, sqlalchemy.exc.SQLAlchemyError),
        *(requests.RequestException, sqlite3.Error, OSError),
    )

    def __init__(
        self, study: str, storage: str, tracking_uri: str, experiment: str, system: SystemMetrics | None = None
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._name = study
        self._storage = storage
        self._study: optuna.Study | None = None
        self._objectives = VAL_LOSS
        self._view = MlflowView(tracking_uri, experiment, study)
        self._system, self._start = system, 0
        self._done: set[int] = set()  # the finished trials that need not be looked at again
        self._left = True  # whether the last step has left other trials for later
        self._looked = self._shown = 0.0
        self._stumbles: Counter[int] = Counter()
        self._checked_at_end = False
        self.progressed = False
        self.unreadable: dict[int, str] = {}
        self.finished = 0
        self.written: set[int] = set()

    def forget(self) -> None:
        """Read MLflow and every finished trial again, as after a fault."""
        self._view.forget()
        self._done.clear()
        self._left = True
        self.progressed = False  # a turn may fail before the next step, which then has done nothing

    def go(self, live: Live, *, ended: bool) -> bool:
        """Log the points that wait, and complete the runs of finished trials; at the end, check all runs.

        Args:
            live: the trials in training; what is logged is removed from it.
            ended: whether no more lines will come; the view is then closed once all is done.

        Returns:
            Whether there is nothing left to do now.

        Raises:
            FAULTS: MLflow or a store has failed; call `forget`, then try again.
        """
        self.progressed = False
        due = time.monotonic() - self._looked >= LOOK_AGAIN
        if self._view.connected and not (ended or live.told or self._left or due):
            self._flush(live)  # the study need not be read
            self._measure()
            return True
        trials, attributes = self._read()
        finished = {number for number, trial in trials.items() if trial.state.is_finished()}
        self.finished = len(finished)
        if not self._view.connected:
            self._start = _study_start(trials)
            self._view.connect(self._start)
        if ended and not self._checked_at_end:
            self._done.clear()
            self._checked_at_end = True
        self._done -= live.told
        told = bool(live.told)
        live.told.clear()
        for number in live.trials.keys() & finished:  # their results came before the lines that report them
            del live.trials[number]
        if not told or time.monotonic() - self._shown >= _SHOW:
            self._flush(live)
        if not ended:
            self._measure()
        pending = finished - self._done
        self._left = True  # in case the next line fails
        self._complete(pending, trials, attributes, hurry=ended)
        self._left = not pending <= self._done
        self._describe(trials, attributes)
        if not self._left and ended:
            for number in self._view.running():
                if number in trials:
                    self._view.interrupt(number, trials[number].state.name)
            listed = [trials[number] for number in sorted(trials)]
            self._view.attach(
                {"recipe.toml": recipe_text(attributes), "trials.csv": trials_text(listed, self._objectives)}
            )
            ends = [trial_times(trials[number])[1] for number in finished]
            self._view.finish(max(ends, default=time.time_ns() // 1_000_000))
        return not self._left

    def _read(self) -> tuple[dict[int, FrozenTrial], Mapping[str, Any]]:
        """Return the trials by number, and the attributes of the study."""
        with answering(self._storage):
            try:
                self._study = self._study or optuna.load_study(study_name=self._name, storage=connect(self._storage))
            except KeyError:
                raise EnvironmentFault(f"there is no study {self._name!r} in the storage") from None
            trials = {trial.number: trial for trial in self._study.get_trials(deepcopy=False)}
            attributes = self._study.user_attrs
            self._objectives = Objectives.stored(stored_recipe(attributes), self._study.directions)
            self._looked = time.monotonic()
            return trials, attributes

    def _flush(self, live: Live) -> None:
        self._shown = time.monotonic()
        for number, trial in live.trials.items():
            if trial.points or not trial.announced:
                self._view.live(number, trial)
                self.progressed = True

    def _measure(self) -> None:
        if self._system is not None:
            self._view.measure(self._system.points(self._start))

    def _complete(
        self, pending: set[int], trials: Mapping[int, FrozenTrial], attributes: Mapping[str, Any], hurry: bool
    ) -> None:
        """Make the runs of pending trials equal to their record: for a limited time or, in a hurry, all of them."""
        recipe, environment = stored_recipe(attributes), attributes.get(record.ENVIRONMENT, {})
        aim = self._objectives.first
        until = time.monotonic() + _SLICE
        # Runs that MLflow has refused before come last, so that they do not hold up the others.
        for number in sorted(pending, key=lambda number: (self._stumbles[number], number)):
            self._stumbles[number] += 1
            try:
                # Where and when a trial of another program was trained is not known.
                known = environment if is_own(trials[number]) else {}
                if self._view.reconcile(plan_trial(self._name, trials[number], recipe, known, aim)):
                    self.progressed = True
                    self.written.add(number)
            except EnvironmentFault as fault:
                self.unreadable[number] = str(fault)
            self._done.add(number)
            del self._stumbles[number]
            if not hurry and time.monotonic() > until:
                return

    def _describe(self, trials: Mapping[int, FrozenTrial], attributes: Mapping[str, Any]) -> None:
        states = Counter(trial.state.name for trial in trials.values())
        recipe = stored_recipe(attributes)
        tags = {f"trials.{state.lower()}": str(states[state]) for state in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")}
        tags |= {clean_key(name): as_text(value) for name, value in attributes.get(record.ENVIRONMENT, {}).items()}
        if "seed" in recipe:
            tags["seed"] = str(recipe["seed"])
        if recipe.get("title"):
            tags[NOTE_TAG] = as_text(recipe["title"])
        values: dict[str, float] = {}
        objectives = self._objectives
        if front := objectives.front(own(trials[number] for number in sorted(trials))):
            tags["best_trial"] = str(front[0].number)
            values["best_value"] = front[0].values[0]
            if objectives.several:
                tags["pareto_front"] = ", ".join(str(trial.number) for trial in front)[:8000]
        if decision := kept(attributes, trials.values()):
            tags["chosen_trial"] = str(decision.chosen)
            if decision.value is not None:
                name, value = f"{so_far(decision.objective)}_corrected", decision.value
                values |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
        finished = sum(trial.state.is_finished() for trial in trials.values())
        self._view.describe(params_text(recipe), tags, values, finished)
        self._view.note_dataset(attributes)
        params = dict.fromkeys(name for trial in trials.values() for name in trial.params)
        metrics = {name for trial in trials.values() for name in trial.user_attrs.get(record.SUMMARY, {})}
        # Before a trial has finished, the view has the one metric that trials in training have too.
        metrics = metrics or {so_far(objectives.first.name)}
        view = study_view(self._name, list(params), metrics, _study_start(trials), objectives.first)
        if params and view is not None:
            self._view.offer(*view)


def _study_start(trials: Mapping[int, FrozenTrial]) -> int:
    """Return the start of the first trial in ms since the Unix epoch; the present time if none has started."""
    starts = [trial.datetime_start.timestamp() for trial in trials.values() if trial.datetime_start is not None]
    return round(1000 * min(starts)) if starts else time.time_ns() // 1_000_000
