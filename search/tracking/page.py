"""The description of the experiment on MLflow's page, and a saved view of each study.

A saved view is an entry in the page's own menu "Views": filter, order, columns and charts, kept as a tag of the
experiment. A version of the page that does not know its format leaves it out of the menu.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from search.tracking.plan import STUDY_TAG, clean_key, so_far, view_tag
from search.tracking.store import tagged
from search.train.metrics.objective import VAL_LOSS, Objective

NOTE_TAG = "mlflow.note.content"
EXPERIMENT_TAGS = {
    NOTE_TAG: "Hyperparameter searches: each study is a run, and its trials are runs under it. "
    "**Views** lists the trials of each study, the best first, with hyperparameters and curves.",
    "mlflow.experimentKind": "custom_model_development",  # not prompts and agents
}
"""The tags of a new experiment."""
_MOST = 5000  # MLflow's limit on the length of an experiment's tag
_CURVES = ("val_loss", "train_loss", "val_accuracy", "val_rmse")
_SECTION = "curves"


def study_view(
    study: str, params: Sequence[str], metrics: Collection[str], created_ms: int, aim: Objective = VAL_LOSS
) -> tuple[str, str] | None:
    """Return the tag, key and value, of a study's saved view: its trials that have an objective, the best first.

    Args:
        study: the name of the study, which is also the name of the view.
        params: the hyperparameters that are searched.
        metrics: the names of a trial's metrics.
        created_ms: the start of the study in ms since the Unix epoch.
        aim: its first objective.

    Returns:
        The tag; None if it is longer than MLflow allows.
    """
    names = [clean_key(name) for name in params]
    objective = so_far(aim.name)
    curves = list(dict.fromkeys([aim.name, *_CURVES]))
    shown = [f"best_{name}" for name in curves if name != "train_loss"] + ["best_epoch"]
    # The filter leaves out trials without an objective. Other objectives than losses may be negative; MLflow's filters
    # know no exponents.
    least = "0" if aim.is_loss else f"-{10**12}"
    columns = [f"metrics.`{name}`" for name in shown if name in metrics] + [f"params.`{name}`" for name in names]
    state = {
        "searchFilter": f"{tagged(STUDY_TAG, study)} and metrics.{objective} >= {least}",
        "orderByKey": f"metrics.`{objective}`",
        "orderByAsc": aim.direction == "minimize",
        "selectedColumns": columns,
        "compareRunSections": [{"uuid": _SECTION, "name": "Study", "display": True}],
        "compareRunCharts": [
            _chart("PARALLEL", "parallel", selectedParams=names, selectedMetrics=[objective], showAllRuns=True),
            *(_line(name) for name in curves if f"best_{name}" in metrics),
        ],
    }
    view = {"name": study, "createdAt": created_ms, "updatedAt": created_ms, "state": json.dumps(state)}
    value = json.dumps(view)
    return (view_tag(study), value) if len(value) <= _MOST else None


def _line(metric: str) -> dict[str, Any]:
    scale = "log" if metric.endswith("_loss") else "linear"
    return _chart(
        "LINE",
        metric,
        metricKey=metric,
        selectedMetricKeys=[metric],
        displayName=metric,
        xAxisKey="step",
        yAxisKey="metric",
        xAxisScaleType="linear",
        scaleType=scale,
        range={},
        lineSmoothness=0,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )


def _chart(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "uuid": name, "metricSectionId": _SECTION, "runsCountToCompare": 10, **fields}
