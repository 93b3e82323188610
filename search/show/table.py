"""The end of a run: the best trials as a table, and the same as one JSON object."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from search.database import DEFAULT_TRACKING, shown
from search.record.curves import CELL, DIVERGED_AT, SUMMARY

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
    states = (TrialState.COMPLETE, TrialState.PRUNED)
    return len(study.optuna_study.get_trials(deepcopy=False, states=states))


def outcome(study: Study, *, seconds: float) -> dict[str, Any]:
    """What a run came to, as JSON can hold it: study, trials by state, best, epochs trained, seconds, urls."""
    trials = study.optuna_study.get_trials(deepcopy=False)
    best = study.best
    return {
        "study": study.name,
        "trials": {name: count for state, name in STATES.items() if (count := sum(t.state == state for t in trials))},
        "best": None if best is None else plain({"number": best.number, "value": best.value, "params": best.params}),
        "epochs": study.epochs_trained,
        "seconds": round(seconds, 3),
        "urls": {"storage": shown(study.storage), "tracking": study.tracking_uri and shown(study.tracking_uri)},
    }


def plain(value: Any) -> Any:
    """A value as JSON can hold it: of a number that JSON has no word for, the text, "inf" or "nan"."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def render(study: Study, outcome: dict[str, Any]) -> str:
    """The best trials, complete ones first by value, and where the rest is to be seen."""
    trials = study.optuna_study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    ranked = sorted(trials, key=lambda t: (t.state != TrialState.COMPLETE, _value(t), t.number))[:_ROWS]
    labels = [escape(row.label) for row in study.recipe.rows] if any(row.name for row in study.recipe.rows) else []
    # A label stands for its row's values: columns for them all would leave no room to read any.
    names = [name for name in study.space.searched if not labels and any(name in t.params for t in ranked)]
    metric = study.batches.metric
    table = Table(title=f"{study.name}: the best of {len(trials)} trials", title_justify="left")
    for heading in ("trial", *(["row"] if labels else []), "val_loss", metric, *names, "best epoch", "state"):
        table.add_column(heading, justify="left" if heading in ("row", "state") else "right")
    for trial in ranked:
        summary = trial.user_attrs.get(SUMMARY, {})
        state = STATES[trial.state] + (" (diverged)" if DIVERGED_AT in trial.user_attrs else "")
        table.add_row(
            str(trial.number), *([labels[trial.user_attrs[CELL]]] if labels else []),
            number(trial.value), number(summary.get(f"best_{metric}")),
            *(number(trial.params.get(name)) for name in names), number(summary.get("best_epoch")), state,
        )  # fmt: skip
    counts = ", ".join(f"{count} {name}" for name, count in outcome["trials"].items())
    lines = [f"{counts}; {outcome['epochs']:,} epochs trained in {outcome['seconds']:.1f} s"]
    if study.tracking_uri is not None:
        local = study.tracking_uri == DEFAULT_TRACKING
        lines.append("curves: mlflow ui" + ("" if local else f" --backend-store-uri {shown(study.tracking_uri)}"))
    text = io.StringIO()
    console = Console(file=text, width=120)
    console.print(table)
    return text.getvalue() + "\n".join(lines)


def _value(trial: FrozenTrial) -> float:
    return float("inf") if trial.value is None else trial.value


def number(value: object) -> str:
    """A cell of a table: four digits of a number, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
