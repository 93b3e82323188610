"""What a study has come to: the best trials as a table, and the same as one JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from search.choose.asking import CELL
from search.database import DEFAULT_TRACKING, shown
from search.record.curves import DIVERGED_AT, SUMMARY
from search.show.sheet import Sheet

if TYPE_CHECKING:
    from search.study import Study

_ROWS = 10
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


def count_finished(study: Study) -> int:
    """Trials that are complete or pruned."""
    return len(finished(study.optuna_study.get_trials(deepcopy=False)))


def finished(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Those that are complete or pruned."""
    return [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]


def outcome(study: Study, *, seconds: float) -> dict[str, Any]:
    """What a run came to, as JSON can hold it: study, trials by state, best, epochs trained, seconds, urls."""
    trials = study.optuna_study.get_trials(deepcopy=False)
    found = study.best
    best_one = None if found is None else {"number": found.number, "value": found.value, "params": found.params}
    return {
        "study": study.name,
        "trials": by_state(trials),
        "best": plain(best_one),
        "epochs": study.epochs_trained,
        "seconds": round(seconds, 3),
        "urls": {"storage": shown(study.storage), "tracking": study.tracking_uri and shown(study.tracking_uri)},
    }


def plain(value: Any) -> Any:
    """A value as JSON can hold it: of a number that JSON has no word for, the text, "inf" or "nan"."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def best(study: Study, trials: Sequence[FrozenTrial]) -> Sheet:
    """The best of a study's trials, complete ones first by value."""
    ended = finished(trials)
    ranked = sorted(ended, key=lambda t: (t.state != TrialState.COMPLETE, _value(t), t.number))[:_ROWS]
    labels = [row.label for row in study.recipe.rows] if any(row.name for row in study.recipe.rows) else []
    # A label stands for its row's values: columns for them all would leave no room to read any.
    names = [name for name in study.space.searched if not labels and any(name in t.params for t in ranked)]
    metric = study.data.metric
    rows = []
    for trial in ranked:
        summary = trial.user_attrs.get(SUMMARY, {})
        state = STATES[trial.state] + (" (diverged)" if DIVERGED_AT in trial.user_attrs else "")
        rows.append([
            str(trial.number), *([labels[trial.user_attrs[CELL]]] if labels else []),
            number(trial.value), number(summary.get(f"best_{metric}")),
            *(number(trial.params.get(name)) for name in names), number(summary.get("best_epoch")), state,
        ])  # fmt: skip
    headings = ["trial", *(["row"] if labels else []), "val_loss", metric, *names, "best epoch", "state"]
    return Sheet(headings, rows, ("row", "state"), f"{study.name}: the best of {len(ended)} trials")


def by_state(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """How many trials there are in each state that there are some in."""
    return {name: count for state, name in STATES.items() if (count := sum(t.state == state for t in trials))}


def counted(states: Mapping[str, int]) -> str:
    """``8 complete, 4 pruned``."""
    return ", ".join(f"{count} {name}" for name, count in states.items())


def render(study: Study, outcome: dict[str, Any]) -> str:
    """The best trials, and where the rest is to be seen."""
    lines = [f"{counted(outcome['trials'])}; {outcome['epochs']:,} epochs trained in {outcome['seconds']:.1f} s"]
    if study.tracking_uri is not None:
        local = study.tracking_uri == DEFAULT_TRACKING
        lines.append("curves: mlflow ui" + ("" if local else f" --backend-store-uri {shown(study.tracking_uri)}"))
    return f"{best(study, study.optuna_study.get_trials(deepcopy=False))}" + "\n".join(lines)


def _value(trial: FrozenTrial) -> float:
    return float("inf") if trial.value is None else trial.value


def number(value: object) -> str:
    """A cell of a table: four digits of a number, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
