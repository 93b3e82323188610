"""MLflow's view of a study: one run for each trial, under one parent run, made equal to the record.

Nothing that was remembered is trusted after an error: after `forget`, everything is read from the store again. A run
that was made equal carries a digest of its record as a tag, which is written after its points, and its final status and
end, which are set last. So one search checks a thousand finished trials.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Metric, Param, Run, RunTag

from search.tracking import attached
from search.tracking.live import LiveTrial
from search.tracking.page import EXPERIMENT_TAGS, NOTE_TAG
from search.tracking.plan import KEY_TAG, STATE_TAG, STUDY_TAG, Point, TrialPlan, params_text, trial_tags
from search.tracking.runs import Known, RunState, contradicts, rank, state_of
from search.tracking.store import artifacts, opened, tagged
from search.tracking.system import PREFIX

PARENT_TAG = "mlflow.parentRunId"
RECORD_TAG = "regsearch.record"
_PAGE = 1000
_BATCH = 1000  # MLflow's limit on the metrics of one call


class MlflowView:
    """The runs of one study in one tracking store.

    Args:
        tracking_uri: the URI of MLflow; a missing SQLite file is created.
        experiment: the name of the experiment; it is created if it is missing, and restored if it was deleted.
        study: the name of the study, which is also the name of the parent run.

    Every method may raise the errors of MLflow, SQLAlchemy and requests; call `forget` then, and try again.
    """

    def __init__(self, tracking_uri: str, experiment: str, study: str) -> None:
        self._uri = tracking_uri
        self._experiment = experiment
        self._study = study
        self._client: MlflowClient | None = None
        self._experiment_id = ""
        self._experiment_tags: dict[str, str] = {}
        self._parent: RunState | None = None
        self._runs: dict[int, RunState] = {}

    def forget(self) -> None:
        """Drop all that is remembered about the store."""
        self._client, self._parent, self._runs = None, None, {}

    @property
    def connected(self) -> bool:
        """Whether the store has been read since the last `forget`."""
        return self._parent is not None

    def connect(self, start_ms: int) -> None:
        """Find the experiment, the parent run and the runs of trials; create the first two if they are missing.

        Args:
            start_ms: the start of the study in ms since the Unix epoch, for a new parent run.
        """
        self._client = client = opened(self._uri)
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            place = artifacts(self._uri, self._experiment)
            self._experiment_id = client.create_experiment(self._experiment, place, tags=EXPERIMENT_TAGS)
            self._experiment_tags = {}
        else:
            self._experiment_id = experiment.experiment_id
            self._experiment_tags = dict(experiment.tags)
            if experiment.lifecycle_stage == LifecycleStage.DELETED:
                client.restore_experiment(self._experiment_id)
        runs = self._search()
        parent = runs.pop(self._study, None)
        if parent is None:
            tags = {KEY_TAG: self._study, STUDY_TAG: self._study}
            parent = self._create(self._study, start_ms, tags)
        elif parent.status != "RUNNING":
            client.update_run(parent.run_id, status="RUNNING")
        # The search has compared the name of the study; what is left of a key is the number of a trial.
        self._runs = {int(key.removeprefix(f"{self._study}/")): run for key, run in runs.items()}
        self._parent = parent

    def running(self) -> list[int]:
        """Return the numbers of the trials whose runs MLflow shows as running."""
        return [number for number, run in self._runs.items() if run.status == "RUNNING"]

    def live(self, number: int, trial: LiveTrial) -> None:
        """Log the points that wait for a running trial, and take them off its list."""
        run = self._runs.get(number)
        if run is None:
            tags = trial_tags(self._study, number, "RUNNING") | {PARENT_TAG: self._parent_id}
            run = self._runs[number] = self._create(trial.name, trial.start_ms, tags)
        elif run.status != "RUNNING":  # the trial was interrupted, and is adopted now
            self._api.update_run(run.run_id, status="RUNNING")
            run.status = "RUNNING"
        self._log(run, trial.points, params_text(trial.params), {STATE_TAG: "RUNNING"})
        trial.points.clear()
        trial.announced = True

    def reconcile(self, plan: TrialPlan) -> bool:
        """Make a finished trial's run equal to its record.

        Points that are in the run already are not logged again, whatever their timestamp. MLflow cannot remove a point:
        a run that contradicts the record (its trial was trained again after a crash, on a machine that rounds
        differently) is deleted and created again.

        Returns:
            Whether there was anything to do.

        Raises:
            EnvironmentFault: the record cannot be read.
        """
        run = self._runs.get(plan.number)
        tags = plan.tags | {PARENT_TAG: self._parent_id}
        # Without the end, a run that was marked as killed while its trial was unfinished would be taken for complete if
        # its correction was cut short between the tags and the status.
        complete = plan.digest, plan.status, plan.end_ms
        if run is not None and (run.tags.get(RECORD_TAG), run.status, run.end_ms) == complete:
            # The tags of its environment stay: they say where and when it was trained.
            self._log(run, (), {}, {PARENT_TAG: self._parent_id})
            return False
        points = plan.points()
        if run is not None and contradicts(run, self._known(run), points, plan.params):
            self._api.delete_run(run.run_id)
            run = None
        if run is None:
            run = self._runs[plan.number] = self._create(plan.name, plan.start_ms, tags)
        self._log(run, points, plan.params, tags | {RECORD_TAG: plan.digest})
        self._api.set_terminated(run.run_id, plan.status, plan.end_ms)  # last, so that a run cut short is done again
        run.status, run.end_ms = plan.status, plan.end_ms
        run.known = None  # the points of a thousand trials would fill the memory
        # These are the keys whose histories are read if this run is ever looked at again.
        run.latest = {point.key: point.value for point in points}
        return True

    def interrupt(self, number: int, state: str) -> None:
        """Mark a run as killed because its trial is unfinished in Optuna (`state`) and nobody trains it."""
        run = self._runs[number]
        self._log(run, (), {}, {STATE_TAG: state})
        run.status, run.end_ms = "KILLED", time.time_ns() // 1_000_000
        self._api.set_terminated(run.run_id, run.status, run.end_ms)

    def describe(
        self, params: Mapping[str, str], tags: Mapping[str, str], values: Mapping[str, float], finished: int
    ) -> None:
        """Bring the parent run up to date: the recipe, counts, and the study's values by its finished trials."""
        parent = self._parent_run
        # MLflow never changes a parameter: if the recipe has changed (a larger budget), a tag gives the new value.
        changed = [f"{key}={value}" for key, value in params.items() if parent.params.get(key, value) != value]
        kept = {key: value for key, value in params.items() if key not in parent.params}
        tags = dict(tags)
        if NOTE_TAG in parent.tags:
            tags.pop(NOTE_TAG, None)  # a description that somebody has written stays
        if changed or "recipe.changed" in parent.tags:
            tags["recipe.changed"] = ", ".join(changed)[:8000]
        now = time.time_ns() // 1_000_000
        changed_values = {name: value for name, value in values.items() if parent.latest.get(name) != value}
        points = [Point(name, value, now, finished) for name, value in changed_values.items()]
        parent.latest.update(changed_values)
        self._log(parent, points, kept, tags)

    def note_dataset(self, attributes: Mapping[str, Any]) -> None:
        """Note the data set as an input of the parent run, given the attributes of the study (`attached`)."""
        parent = self._parent_run
        self._log(parent, (), {}, attached.attach_dataset(self._api, parent.run_id, parent.tags, attributes))

    def attach(self, files: Mapping[str, str]) -> None:
        """Attach texts to the parent run, by the names of their files (`attached`)."""
        parent = self._parent_run
        self._log(parent, (), {}, attached.attach_files(self._api, parent.run_id, parent.tags, files))

    def measure(self, points: Iterable[Point]) -> None:
        """Log the load of the machine to the parent run (`system`)."""
        if metrics := [Metric(*point) for point in points]:
            self._api.log_batch(self._parent_id, metrics)

    def offer(self, key: str, value: str) -> None:
        """Add a saved view (`page.study_view`) to those of the experiment."""
        if self._experiment_tags.get(key) != value:
            self._api.set_experiment_tag(self._experiment_id, key, value)
            self._experiment_tags[key] = value

    def finish(self, end_ms: int) -> None:
        """Close the parent run."""
        self._api.set_terminated(self._parent_id, "FINISHED", end_ms)

    @property
    def _api(self) -> MlflowClient:
        if self._client is None:
            raise RuntimeError("connect() comes first")
        return self._client

    @property
    def _parent_run(self) -> RunState:
        if self._parent is None:
            raise RuntimeError("connect() comes first")
        return self._parent

    @property
    def _parent_id(self) -> str:
        return self._parent_run.run_id

    def _search(self) -> dict[str, RunState]:
        """Return the study's runs by key; of several runs with one key, which unconnected writers made, one is kept."""
        found: dict[str, Run] = {}
        name = tagged(STUDY_TAG, self._study)
        token: str | None = None
        while True:
            page = self._api.search_runs([self._experiment_id], name, max_results=_PAGE, page_token=token)
            for run in page:
                key = run.data.tags.get(KEY_TAG, "")
                if not self._owns(key):
                    continue
                if key in found:
                    run, other = sorted((run, found[key]), key=rank)
                    self._api.delete_run(other.info.run_id)
                found[key] = run
            token = page.token
            if not token:
                return {key: state_of(run) for key, run in found.items()}

    def _owns(self, key: str) -> bool:
        """Return whether a key belongs to this study: it is the study's name, or its name and a trial's number."""
        study, _, number = key.rpartition("/")
        return key == self._study or (study == self._study and number.isdigit())

    def _create(self, name: str, start_ms: int, tags: Mapping[str, str]) -> RunState:
        run = self._api.create_run(self._experiment_id, start_time=start_ms, tags=dict(tags), run_name=name)
        return RunState(run.info.run_id, "RUNNING", None, dict(tags), {}, {}, known={})

    def _known(self, run: RunState) -> Known:
        """Return the values that the run holds; they are read from the store the first time."""
        if run.known is None:
            keys = (key for key in run.latest if not key.startswith(PREFIX))  # of those, each is written once only
            histories = ((key, self._api.get_metric_history(run.run_id, key)) for key in keys)
            run.known = {key: {point.step: point.value for point in history} for key, history in histories}
        return run.known

    def _log(self, run: RunState, points: Iterable[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Log what the run does not have yet: one call for each 1000 points, and no call if nothing is new.

        The tags come with the last points, so that the tag of a complete run is never there too early.
        """
        points = list(points)
        fresh: list[Point] = []
        if points:
            known = self._known(run)
            for point in points:
                steps = known.setdefault(point.key, {})
                if point.step not in steps:
                    steps[point.step] = point.value
                    fresh.append(point)
        # The metrics come in the order of the plan, which MLflow's pages keep. The latest value of each comes first:
        # MLflow then updates its "latest value" once, not with every point.
        order = {key: place for place, key in enumerate(dict.fromkeys(point.key for point in points))}
        fresh.sort(key=lambda point: (order[point.key], -point.step))
        new_params = [Param(key, value) for key, value in params.items() if key not in run.params]
        new_tags = [RunTag(key, value) for key, value in tags.items() if run.tags.get(key) != value]
        last = max(_BATCH - len(new_params) - len(new_tags), 1)
        while len(fresh) > last:
            self._api.log_batch(run.run_id, [Metric(*point) for point in fresh[:_BATCH]])
            del fresh[:_BATCH]
        if fresh or new_params or new_tags:
            self._api.log_batch(run.run_id, [Metric(*point) for point in fresh], new_params, new_tags)
        run.params |= params
        run.tags |= tags
