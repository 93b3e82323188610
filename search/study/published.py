"""Compare published figures with a study's own, for the settings of a recipe that state some."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import TrialState

from search.errors import RequestError, counted
from search.recipe.schema import DataSet
from search.record.curves import CELL, CURVES, Curves
from search.record.own import own_trials
from search.record.summary import by_replicate
from search.show.sheet import Sheet
from search.show.text import number, plain
from search.technique import Hyperparameter, Value
from search.train.metrics.objective import BUILT_IN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search.study.study import BaseStudy

_DATA = tuple(DataSet.model_fields)
_SHARES = ("test_accuracy", *(name for name, one in BUILT_IN.items() if one.best == 1))
_RULE = (
    "agrees: theirs lies within 2 SD + 0.02 of ours (accuracy and other metrics that are at best 1), or within"
    " 2 SD + 5% of theirs (other metrics)"
)


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure and this study's.

    Attributes:
        setting: the label of the setting.
        metric: a summary metric, such as ``final_test_accuracy``.
        theirs: the published value.
        ours: the mean over replicates; None if the setting's trial is not complete or has no such metric.
        sd: the standard deviation over replicates; None with one replicate.
        agrees: whether theirs lies within ``2 sd + 0.02`` of ours (accuracies and other metrics that are at best 1),
            or within ``2 sd`` plus 5% of theirs (other metrics), with sd 0 for one replicate.
    """

    setting: str
    metric: str
    theirs: float
    ours: float | None = None
    sd: float | None = None
    agrees: bool | None = None


def compare(study: BaseStudy) -> list[PublishedFigure]:
    """Return every published figure of a study's recipe, setting by setting."""
    trials = own_trials(study.optuna_study, [TrialState.COMPLETE])
    aim = study.objectives.first
    measured = {t.user_attrs.get(CELL): by_replicate(Curves.decode(t.user_attrs[CURVES]), aim) for t in trials}
    return [
        _figure(setting.label, metric, theirs, measured.get(index, {}).get(metric))
        for index, setting in enumerate(study.recipe.settings)
        for metric, theirs in setting.published.items()
    ]


def _figure(setting: str, metric: str, theirs: float, values: NDArray[np.float64] | None) -> PublishedFigure:
    if values is None:
        return PublishedFigure(setting, metric, theirs)
    ours = float(values.mean())
    sd = float(values.std(ddof=1)) if len(values) > 1 else None
    margin = 0.02 if metric.partition("_")[2] in _SHARES else 0.05 * abs(theirs)
    return PublishedFigure(setting, metric, theirs, ours, sd, abs(theirs - ours) <= 2 * (sd or 0.0) + margin)


def differences(study: BaseStudy) -> list[str]:
    """Return the changes to the recipe for which the figures were published, as ``epochs 2 (published: 200)``."""
    written, now, fixed = study.original, study.recipe, study.space.fixed
    changes: list[tuple[str, Any, Any]] = []
    for name in (name for name in fixed if name in now.set or name in written.set):
        declaration = study.space.declared[name]
        was = written.set.get(name, declaration.fixed)
        if not _same(declaration, name, was, fixed[name]):
            changes.append((name, fixed[name], was))
    fields = [(field, getattr(now.data, field), getattr(written.data, field)) for field in _DATA]
    changes += [
        (field, is_now, was) for field, is_now, was in [*fields, ("loss", now.loss, written.loss)] if is_now != was
    ]
    return [f"{name} {is_now} (published: {'default' if was is None else was})" for name, is_now, was in changes]


def _same(declaration: Hyperparameter, name: str, was: Value | None, is_now: Value) -> bool:
    """Return whether a value as a recipe writes it is the same as one in standard form."""
    try:
        return was is not None and declaration.validate(name, was) == is_now
    except RequestError:
        return False


def outcome(study: BaseStudy) -> dict[str, Any]:
    """Return the figures and the differences as JSON can hold them; an empty dict for a recipe without figures."""
    figures = compare(study)
    if not figures:
        return {}
    return {"published": [plain(asdict(figure)) for figure in figures], "differs": differences(study)}


def render(study: BaseStudy) -> str:
    """Return the figures as a table with the rule of its verdicts; "" for a recipe without figures."""
    figures = compare(study)
    if not figures:
        return ""
    rows = []
    for figure in figures:
        verdict = {True: "yes", False: "no", None: ""}[figure.agrees]
        sd = "-" if figure.sd is None else number(figure.sd)
        rows.append((figure.setting, figure.metric, number(figure.theirs), number(figure.ours), sd, verdict))
    headings, words = ("setting", "metric", "theirs", "ours", "SD", "agrees"), ("setting", "metric", "agrees")
    table = Sheet(headings, rows, words, "published figures and this study's own")
    lines = [_RULE, f"ours: the mean over {counted(study.recipe.networks, 'replicate')}, SD over the same"]
    if changed := differences(study):
        lines.append(f"settings differ from the published ones: {', '.join(changed)}")
    return f"{table}" + "\n".join(lines)
