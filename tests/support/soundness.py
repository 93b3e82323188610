"""Check that a study that was disturbed equals an undisturbed one, and that MLflow shows it as it is.

The checks read through Optuna's public API and from MLflow's tables, not through the package's own code; they take
only the names of attributes and the decoding of curves from it.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from search.record.curves import CURVES, ENVIRONMENT, EPOCHS, SUMMARY, TIMES, Curves
from search.record.own import TICKET
from support.decisions import renumbered

_STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.PRUNED: "KILLED", TrialState.FAIL: "FAILED"}


def study_problems(storage: str | Path, undisturbed: Path, name: str, *, half_asked: bool = False) -> list[str]:
    """Return how a study differs from an undisturbed one, a line for each problem.

    Args:
        storage: the storage of the study that was disturbed: a URL, or a folder with an ``optuna.db``.
        undisturbed: the folder of the undisturbed study.
        name: the name of both studies.
        half_asked: whether trials may have failed because they were cut off in the middle of their ask.
    """
    mine, other = _study(storage, name), _study(undisturbed, name)
    trials, wanted = mine.get_trials(), other.get_trials()
    problems = []
    if half_asked:
        trials = [trial for trial in trials if trial.state != TrialState.FAIL]
    elif [trial.number for trial in trials] != list(range(len(wanted))):
        problems.append(f"trials {[trial.number for trial in trials]}")
    if len(trials) < len(wanted):
        problems.append(f"lost: {len(wanted) - len(trials)} trials")
    tickets = Counter(trial.user_attrs.get(TICKET) for trial in trials)
    assignments = Counter(tuple(sorted(trial.params.items())) for trial in trials)
    if len(trials) > len(wanted) or max(tickets.values()) > 1 or max(assignments.values()) > 1:
        problems.append(f"duplicated: {len(trials)} trials, tickets {dict(tickets)}")
    for one, like in zip(trials, wanted, strict=False):
        problems += [f"differing: trial {one.number}: {what}" for what in _differences(one, like, half_asked)]
    # After failed trials the verdicts name other numbers; equal states say as much as equal verdicts.
    left_out = {ENVIRONMENT} | ({key for key in mine.user_attrs if key.startswith("verdict:")} if half_asked else set())
    ours, theirs = mine.user_attrs, other.user_attrs
    if half_asked:
        ours, theirs = renumbered(ours, trials), renumbered(theirs, wanted)
    for key in (ours.keys() | theirs.keys()) - left_out:
        if ours.get(key) != theirs.get(key):
            problems.append(f"differing: the study's {key}")
    return problems


def _study(storage: str | Path, name: str) -> optuna.Study:
    url = storage if isinstance(storage, str) else f"sqlite:///{storage / 'optuna.db'}"
    return optuna.load_study(study_name=name, storage=url)


def _differences(one: FrozenTrial, like: FrozenTrial, half_asked: bool) -> list[str]:
    def shown(trial: FrozenTrial) -> dict[str, Any]:
        attributes = {key: value for key, value in trial.user_attrs.items() if key != TIMES}
        said = {"params": trial.params, "state": trial.state, "values": trial.values, "attributes": attributes}
        said |= {"distributions": trial.distributions, "reports": trial.intermediate_values}
        # Samplers note the numbers of trials, which half-asked trials shift.
        return said if half_asked else said | {"system": trial.system_attrs}

    mine, other = shown(one), shown(like)
    found = [what for what in mine if _text(mine[what]) != _text(other[what])]
    if one.state in (TrialState.COMPLETE, TrialState.PRUNED):
        found += [f"no {key}" for key in (CURVES, TIMES, SUMMARY, EPOCHS) if key not in one.user_attrs]
    return found


def _text(value: Any) -> str:
    """Return equal texts for equal values, NaN included, whatever the order of a dict's keys."""
    return repr(sorted(value.items())) if isinstance(value, dict) else repr(value)


def mlflow_problems(folder: Path, name: str, storage: str | None = None) -> list[str]:
    """Return how a folder's ``mlflow.db`` differs from the study, by default in its ``optuna.db``, a line each."""
    connection = sqlite3.connect(folder / "mlflow.db", timeout=30)
    try:
        return _mlflow_problems(connection, _study(storage or folder, name), name)
    finally:
        connection.close()


def _mlflow_problems(database: sqlite3.Connection, study: optuna.Study, name: str) -> list[str]:
    rows = database.execute(
        "select t.value, r.run_uuid, r.status, r.lifecycle_stage, r.start_time, r.end_time from runs r"
        " left join tags t on t.run_uuid = r.run_uuid and t.key = 'regsearch.key'"
    ).fetchall()
    problems = [f"run {run} has been {stage}" for _, run, _, stage, *_ in rows if stage != "active"]
    keys = Counter(key for key, *_ in rows)
    trials = study.get_trials()
    expected = {name} | {f"{name}/{trial.number}" for trial in trials}
    problems += [f"{keys[key]} runs of {key}" for key in sorted(expected) if keys[key] != 1]
    problems += [f"a run of {key}" for key in keys if key not in expected]
    runs = {key: rest for key, *rest in rows}
    if name in runs and runs[name][1] != "FINISHED":
        problems.append(f"the parent is {runs[name][1]}")
    for trial in trials:
        if (run := runs.get(f"{name}/{trial.number}")) is not None:
            problems += [f"run of trial {trial.number}: {what}" for what in _run_problems(database, trial, run)]
    return problems


def _run_problems(database: sqlite3.Connection, trial: FrozenTrial, run: list[Any]) -> list[str]:
    identity, status, _, start, end = run
    problems = []
    if status != _STATUS.get(trial.state):
        problems.append(f"status {status} where the trial is {trial.state.name}")
    tags = dict(database.execute("select key, value from tags where run_uuid = ?", (identity,)))
    if tags.get("optuna.state") != trial.state.name:
        problems.append(f"tag optuna.state {tags.get('optuna.state')}")
    params = dict(database.execute("select key, value from params where run_uuid = ?", (identity,)))
    if params != {key: str(value) for key, value in trial.params.items()}:
        problems.append(f"params {params}")
    for what, shown, true in (("start", start, trial.datetime_start), ("end", end, trial.datetime_complete)):
        if true is not None and shown != round(true.timestamp() * 1000):
            problems.append(f"{what} {shown}")
    points = database.execute("select key, step, value, is_nan from metrics where run_uuid = ?", (identity,)).fetchall()
    twice = [at for at, times in Counter((key, step) for key, step, *_ in points).items() if times > 1]
    problems += [f"{key} at {step} is there more than once" for key, step in twice]
    found = {(key, step): math.nan if nan else value for key, step, value, nan in points}
    wanted = _wanted(trial)
    problems += [f"{key} at {step} is missing" for key, step in wanted.keys() - found.keys()]
    problems += [f"{key} at {step} is not of the record" for key, step in found.keys() - wanted.keys()]
    for at in wanted.keys() & found.keys():
        if not np.isclose(found[at], wanted[at], rtol=1e-5, atol=1e-9, equal_nan=True):
            problems.append(f"{at[0]} at {at[1]} is {found[at]}, recorded {wanted[at]}")
    latest = dict(database.execute("select key, step from latest_metrics where run_uuid = ?", (identity,)))
    last: dict[str, int] = {}
    for key, step in found:
        last[key] = max(step, last.get(key, 0))
    return problems if latest == last else [*problems, f"latest metrics {latest}"]


def _wanted(trial: FrozenTrial) -> dict[tuple[str, int], float]:
    """Return a trial's points, (metric, epoch) -> value; it has at most 25 epochs, so that all are logged."""
    if CURVES not in trial.user_attrs:
        return {}
    curves = Curves.decode(trial.user_attrs[CURVES])
    series = {name: curves.of(name).astype(np.float64).mean(0) for name in curves.metrics}
    series["generalization_gap"] = series["val_loss"] - series["train_loss"]
    if curves.replicates > 1:
        series["val_loss_sd"] = curves.of("val_loss").astype(np.float64).std(0, ddof=1)
    losses = curves.of("val_loss").astype(np.float64)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    series["best_val_loss"] = np.array([losses[:, : at + 1].min(1).mean() for at in range(curves.epochs)])
    points = {(name, at + 1): float(value) for name, row in series.items() for at, value in enumerate(row)}
    summary = {(name, 0): float(value) for name, value in trial.user_attrs[SUMMARY].items() if name not in series}
    points |= summary
    return {at: value for at, value in points.items() if not math.isinf(value)}
