"""The results of a study: the best trials as a table, and as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from search.errors import counted
from search.recipe.schema import MEASURED
from search.record.curves import CELL, DIVERGED_AT, SUMMARY
from search.record.feasible import described, violated
from search.record.own import added_trials, finished, own_trials
from search.record.ranking import evenly
from search.show.sheet import Sheet
from search.show.text import merged, number, plain
from search.storage.database import shown
from search.study import begun
from search.study.chosen import decided
from search.study.stopped import stopped
from search.tracking import address
from search.train.constant import constant_value
from search.train.metrics.built_in import METRICS
from search.train.metrics.objective import BUILT_IN, OF_WEIGHTS

if TYPE_CHECKING:
    from search.study.study import BaseStudy

_ROWS, _FRONT_ROWS = 10, 20
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def count_finished(study: BaseStudy) -> int:
    """Return the number of trials that are complete or pruned."""
    return len(finished(own_trials(study.optuna_study)))


def outcome(study: BaseStudy, *, seconds: float, budget: int | None = None) -> dict[str, Any]:
    """Return the result of a run as JSON can hold it: study, objectives, trials, best, epochs, seconds, addresses.

    Args:
        study: the study.
        seconds: the time that the run took.
        budget: the total number of trials that it was given; by default the recipe's.
    """
    trials = own_trials(study.optuna_study)
    trial = study.best
    best_trial = None if trial is None else {"number": trial.number, "value": trial.values[0], "params": trial.params}
    return {
        "study": study.name,
        "objectives": {one.name: one.direction for one in study.objectives.each},
        "trials": by_state(trials),
        "best": plain(best_trial),
        **({"decision": decision.encode()} if (decision := decided(study)) is not None else {}),
        "constant": plain(constants(study)),
        **({"stopped": ended.outcome()} if (ended := stopped(study, budget)) is not None else {}),
        **({"front": [_point(study, trial) for trial in study.front]} if study.objectives.several else {}),
        **({"from": begun.outcome(study.recipe)} if study.recipe.earlier else {}),
        **({"added": added} if (added := len(added_trials(study.optuna_study))) else {}),
        "epochs": study.epochs_trained,
        **({"workers": [one.outcome() for one in study.team]} if study.team else {}),
        "seconds": round(seconds, 3),
        "urls": {"storage": shown(study.storage), "tracking": study.tracking_uri and shown(study.tracking_uri)},
    }


def _point(study: BaseStudy, trial: FrozenTrial) -> dict[str, Any]:
    values = dict(zip(study.objectives.names, trial.values, strict=True))
    return {"number": trial.number, "values": values, "params": plain(trial.params)}


def best(study: BaseStudy, trials: Sequence[FrozenTrial]) -> Sheet:
    """Return a table of the best trials, complete ones first, by value; with several objectives, of the front."""
    title, ranked = _ranked(study, finished(trials))
    labels = study.recipe.setting_labels if any(setting.name for setting in study.recipe.settings) else []
    # A setting's label stands for its values; columns for all of them would be too narrow to read.
    params = {trial.number: merged(trial.params) for trial in ranked}
    wide = study.recipe.settings_first or not labels
    names = [name for name in study.space.dimensions if wide and any(name in values for values in params.values())]
    first, *others = study.objectives.names
    # The metric of the task is shown with the objectives, unless it is one of them.
    constrained = [one.metric for one in study.objectives.constraints if one.metric in MEASURED]
    named = (study.data.metric, *study.recipe.metrics, *constrained)
    metrics = [name for name in named if name not in study.objectives.names]
    rows = []
    for trial in ranked:
        summary = trial.user_attrs.get(SUMMARY, {})
        state = STATES[trial.state] + (" (diverged)" if DIVERGED_AT in trial.user_attrs else "")
        if broken := violated(trial):
            state += f" (violates {', '.join(broken)})"
        rows.append(
            [
                str(trial.number),
                *([labels[cell] if (cell := trial.user_attrs.get(CELL)) is not None else ""] if labels else []),
                number(study.objectives.value(trial)),
                *(number(at) for at in (trial.values or [None] * (1 + len(others)))[1:]),
                *(number(summary.get(f"best_{name}")) for name in dict.fromkeys(metrics)),
                *(number(params[trial.number].get(name)) for name in names),
                number(summary.get("best_epoch")),
                state,
            ]
        )
    headings = ["trial", *(["setting"] if labels else []), first, *others, *dict.fromkeys(metrics), *names]
    headings += ["best epoch", "state"]
    return Sheet(headings, rows, ("setting", "state"), f"{study.name}: {title}")


def constants(study: BaseStudy) -> dict[str, float]:
    """Return what the best constant prediction reaches in each metric of predictions that the table shows.

    It ignores the inputs: of classes, it is their shares or the most frequent one.
    """
    names = dict.fromkeys((*study.objectives.names, study.data.metric, *study.recipe.metrics))
    known = {**BUILT_IN, **{one.name: one.objective for one in study.metrics}}
    metrics = [*study.metrics, *METRICS.values()]
    found = {
        name: constant_value(study.batches, study.loss, known[name], metrics)
        for name in names
        if name not in OF_WEIGHTS
    }
    return {name: value for name, value in found.items() if value is not None}


def by_state(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Return the number of trials in each state that occurs."""
    return {name: count for state, name in STATES.items() if (count := sum(t.state == state for t in trials))}


def tally(states: Mapping[str, int]) -> str:
    """Return counts as ``8 complete, 4 pruned``."""
    return ", ".join(f"{count} {name}" for name, count in states.items())


def render(study: BaseStudy, outcome: dict[str, Any]) -> str:
    """Return the best trials as text, and where to see the curves."""
    lines = [f"{tally(outcome['trials'])}; {counted(outcome['epochs'], 'epoch')} trained in {outcome['seconds']:.1f} s"]
    if outcome["constant"]:
        reached = ", ".join(f"{name} {number(value)}" for name, value in outcome["constant"].items())
        lines.insert(0, f"for comparison, the best constant prediction, which ignores the inputs: {reached}")
    if ended := outcome.get("stopped"):
        lines.append(ended["why"])
    if added := outcome.get("added"):
        lines.append(
            f"{counted(added, 'trial')} of another program in the study: samplers learn from such trials, but they have"
            " no curves and do not count"
        )
    lines += described([(trial.number, violated(trial)) for trial in finished(own_trials(study.optuna_study))])
    if study.best is None and study.recipe.constraints:
        lines.append("no complete trial meets all constraints, so there is no best one: go on, or relax a constraint")
    if (decision := outcome.get("decision")) is not None:
        lines += decision["sentences"]
    if study.tracking_uri is not None:
        lines += address.lines(study.tracking_uri, study.name, study.experiment)
    return f"{best(study, own_trials(study.optuna_study))}" + "\n".join(lines)


def _ranked(study: BaseStudy, trials: Sequence[FrozenTrial]) -> tuple[str, list[FrozenTrial]]:
    """Return the title of the table and its trials."""
    if study.objectives.several and (front := study.objectives.front(trials)):
        title = f"the Pareto front of {counted(len(trials), 'trial')}, {len(front)} of them"
        shown_trials = evenly(front, _FRONT_ROWS)
        if len(shown_trials) < len(front):
            title += f"; {len(shown_trials)} are shown, evenly spaced"
        return title, shown_trials

    def order(trial: FrozenTrial) -> tuple[bool, bool, float, int]:
        first = study.objectives.value(trial)
        loss = math.inf if first is None else study.objectives.first.loss(first)
        return trial.state != TrialState.COMPLETE, bool(violated(trial)), loss, trial.number

    return f"the best of {counted(len(trials), 'trial')}", sorted(trials, key=order)[:_ROWS]
