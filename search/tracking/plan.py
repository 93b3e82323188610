"""Plan what the MLflow run of a trial must hold: a pure function of Optuna's record of the trial.

Nothing here imports MLflow, so the training side may import it, and tests can check it by hand.
"""

from __future__ import annotations

import hashlib
import json
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from search.errors import EnvironmentFault
from search.record import curves as record
from search.record.feasible import violated
from search.record.summary import objective_so_far
from search.show.text import trial_name
from search.train.metrics.objective import VAL_LOSS, Objective

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from optuna.trial import FrozenTrial

KEY_TAG = "regsearch.key"
STUDY_TAG = "regsearch.study"
TRIAL_TAG = "regsearch.trial"
STATE_TAG = "optuna.state"
VIEW_TAG = "mlflow.sharedViewState."
DENSE = frozenset({"train_loss", "sparsity", "lr"})
MOST_DENSE, MOST_SPARSE = 500, 25
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED"}
_FORMAT = "2"  # part of the digest: raise it if the same record must be shown differently


def so_far(objective: str) -> str:
    """Return the name of an objective's best value so far, ``best_val_loss``.

    It is logged first: MLflow's Compare page plots the hyperparameters against the first metric.
    """
    return f"best_{objective}"


def view_tag(study: str) -> str:
    """Return the tag that holds a study's saved view; the last part of the tag is in the address of the view."""
    return f"{VIEW_TAG}{hashlib.sha256(study.encode()).hexdigest()[:16]}"


class Point(NamedTuple):
    """A logged value; `step` is the epoch from 1 (0 for summaries), `timestamp` is in ms since the Unix epoch."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class TrialPlan:
    """The MLflow run of a finished trial; times are in ms since the Unix epoch, `digest` changes with the record.

    `aim` is the first objective of the study.
    """

    number: int
    name: str
    status: str
    start_ms: int
    end_ms: int
    params: dict[str, str]
    tags: dict[str, str]
    digest: str
    trial: FrozenTrial
    aim: Objective

    def points(self) -> list[Point]:
        """Return every value of the run, each (key, step) once; computed on demand, as most runs are up to date.

        Raises:
            EnvironmentFault: the curves in the study cannot be read.
        """
        attributes = self.trial.user_attrs
        try:
            points = list(_curve_points(attributes, self.end_ms, self.aim))
        except ValueError as error:
            raise EnvironmentFault(f"the record of trial {self.number} in the study cannot be read: {error}") from error
        # A trial that another program has added to the study has a value and no curves.
        if record.CURVES not in attributes and self.trial.values:
            points.append(Point(so_far(self.aim.name), self.trial.values[0], self.end_ms, 0))
        curves = {point.key for point in points}
        for name, value in attributes.get(record.SUMMARY, {}).items():
            key = clean_key(name)
            if key not in curves and isinstance(value, int | float) and not isinstance(value, bool) and loggable(value):
                points.append(Point(key, float(value), self.end_ms, 0))
        return points


def plan_trial(
    study: str,
    trial: FrozenTrial,
    recipe: Mapping[str, Any],
    environment: Mapping[str, Any],
    aim: Objective = VAL_LOSS,
) -> TrialPlan:
    """Plan the run of a finished trial, given the recipe, the environment and the first objective of its study."""
    attributes = trial.user_attrs
    tags = trial_tags(study, trial.number, trial.state.name)
    if "seed" in recipe:
        tags["seed"] = str(recipe["seed"])
    tags |= {clean_key(name): as_text(value) for name, value in attributes.get(record.ENVIRONMENT, environment).items()}
    if record.DIVERGED_AT in attributes:
        tags[record.DIVERGED_AT] = str(attributes[record.DIVERGED_AT])
    if broken := violated(trial):
        tags["violates"] = as_text(", ".join(broken))
    # The environment of the study is left out: a trial that was trained elsewhere has its own attribute.
    content = json.dumps([_FORMAT, study, trial.state.name, trial.params, attributes], sort_keys=True, default=str)
    start, end = trial_times(trial)
    return TrialPlan(
        number=trial.number,
        name=trial_name(trial.number, trial.params, setting_name(attributes, recipe)),
        status=STATUS[trial.state.name],
        start_ms=start,
        end_ms=end,
        params=params_text(trial.params),
        tags=tags,
        digest=hashlib.sha256(content.encode()).hexdigest()[:32],
        trial=trial,
        aim=aim,
    )


def _curve_points(attributes: Mapping[str, Any], end_ms: int, aim: Objective) -> Iterator[Point]:
    """Yield the points of the curves: the planned, thinned epochs that were reached, and the last epoch reached."""
    if record.CURVES not in attributes:
        return
    curves = record.Curves.decode(attributes[record.CURVES])
    reached = curves.epochs
    if not reached:
        return
    planned = max(int(attributes.get(record.EPOCHS, reached)), reached)
    times = np.full(reached, end_ms, dtype=np.int64)  # an unknown time is replaced by the end of the trial
    if record.TIMES in attributes:
        known = record.decode_times(attributes[record.TIMES])[:reached]
        times[: len(known)] = known
    series = {metric: curves.mean(metric) for metric in curves.metrics}
    if aim.name in series:
        series = {so_far(aim.name): objective_so_far(curves, aim)} | series
    with np.errstate(invalid="ignore"):
        if "train_loss" in series and "val_loss" in series:
            series.setdefault("generalization_gap", series["val_loss"] - series["train_loss"])
        if "val_loss" in series and curves.replicates > 1:
            series.setdefault("val_loss_sd", curves.of("val_loss").std(axis=0, ddof=1, dtype=np.float64))
    for metric, values in series.items():
        key = clean_key(metric)
        kept = _kept_epochs(metric, planned)
        steps = np.append(kept[kept < reached], reached)
        columns = steps - 1
        for value, time, step in zip(values[columns].tolist(), times[columns].tolist(), steps.tolist(), strict=True):
            if loggable(value):
                yield Point(key, value, time, step)


@lru_cache(maxsize=256)
def _kept_epochs(metric: str, planned: int) -> NDArray[np.int64]:
    # val_objective is shown as roughly as train_objective is.
    dense = metric in DENSE or (metric.startswith("val_") and metric not in ("val_objective", "val_loss_sd"))
    return record.logged_epochs(planned, MOST_DENSE if dense else MOST_SPARSE)


@lru_cache(maxsize=256)
def live_epochs(metric: str, planned: int) -> frozenset[int]:
    """Return the epochs of a metric that the final record logs too, wherever the trial stops."""
    return frozenset(_kept_epochs(metric, planned).tolist())


def loggable(value: float) -> bool:
    """Return whether MLflow keeps a value as it is: its SQL store keeps NaN, but turns infinities into 1.8e308."""
    return not math.isinf(value)


def trial_tags(study: str, number: int, state: str) -> dict[str, str]:
    """Return the tags by which a trial's run is found and its state is shown."""
    return {KEY_TAG: f"{study}/{number}", STUDY_TAG: study, TRIAL_TAG: str(number), STATE_TAG: state}


def setting_name(attributes: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Return the name of a trial's setting in a recipe that lists settings; empty if it has none."""
    settings, cell = recipe.get("settings", ()), attributes.get(record.CELL)
    return str(settings[cell].get("name", "")) if cell is not None and cell < len(settings) else ""


def trial_times(trial: FrozenTrial) -> tuple[int, int]:
    """Return a finished trial's start and end in ms since the Unix epoch; a trial may fail before it has started."""
    end = trial.datetime_complete or trial.datetime_start or datetime.fromtimestamp(0)
    # Optuna's times are naive local times, as `timestamp` expects.
    return tuple(round(time.timestamp() * 1000) for time in (trial.datetime_start or end, end))  # type: ignore[return-value]


def params_text(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return parameters as MLflow holds them: flat (`model.hidden`), as text, within its limits of length."""
    flat: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping):
            flat |= params_text(value, f"{prefix}{name}.")
        else:
            flat[clean_key(f"{prefix}{name}")] = as_text(value, 6000)
    return flat


def as_text(value: Any, most: int = 8000) -> str:
    """Return a value as text of at most `most` characters; MLflow allows 8000 for tags and 6000 for parameters."""
    text = value if isinstance(value, str) else str(value) if not isinstance(value, dict) else json.dumps(value)
    return text[:most]


def clean_key(name: str) -> str:
    """Return a name with an underscore for whatever MLflow refuses in a key."""
    key = re.sub(r"[^\w.\- /]", "_", name)[:250]
    # Some stores use a key as a file's name: MLflow refuses a key that is another path once it is normalised.
    return key if key == posixpath.normpath(key) and key[0] not in "./" else re.sub(r"[./]", "_", key) or "_"
