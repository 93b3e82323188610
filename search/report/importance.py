"""The importance of hyperparameters, by Optuna's functional ANOVA, over all trials and over the better half."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import optuna
from optuna.trial import create_trial

from search.report import drawing
from search.report.drawing import CaptionedFigure
from search.report.record import Entry, Record
from search.show import figure_style as style

_FEWEST = 8
# The time grows with the square of the number of trials: a thousand take half a minute with Optuna's 64 trees.
_MOST, _TREES = 200, 32


def importances(record: Record, entries: Sequence[Entry]) -> dict[str, float]:
    """Return the share of the objective's variance that each hyperparameter common to all these trials explains alone.

    It is empty if there are fewer than two such hyperparameters, fewer than eight trials, or only one value.
    """
    fitting = [entry for entry in entries if _fits(record, entry)]
    if len(fitting) > _MOST:
        fitting = [fitting[round(at)] for at in np.linspace(0, len(fitting) - 1, _MOST)]
    names = [name for name in record.searched if all(name in entry.params for entry in fitting)]
    names = [name for name in names if len({entry.params[name] for entry in fitting}) > 1]
    if len(names) < 2 or len(fitting) < _FEWEST or len({entry.value for entry in fitting}) < 2:
        return {}
    distributions = {name: record.searched[name] for name in names}
    # This imports scikit-learn, which takes longer than most figures do.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    study = optuna.create_study()
    study.add_trials(
        create_trial(
            params={name: entry.params[name] for name in names}, distributions=distributions, value=entry.value
        )
        for entry in fitting
    )
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0, n_trees=_TREES), params=names)


def _fits(record: Record, entry: Entry) -> bool:
    """Return whether the study still searches every value of the trial."""
    return all(drawing.having(record, name, [entry]) for name in record.searched if name in entry.params)


@lru_cache(maxsize=1)
def shares(record: Record) -> tuple[dict[str, float], dict[str, float]]:
    """Return the importances over all finished trials, and over their better half."""
    ranked = _ranked(record)
    return importances(record, ranked), importances(record, _half(ranked))


def _ranked(record: Record) -> list[Entry]:
    return sorted(record.finished, key=lambda entry: (entry.loss, entry.number))


def _half(ranked: Sequence[Entry]) -> Sequence[Entry]:
    return ranked[: -(-len(ranked) // 2)]


def draw(record: Record) -> CaptionedFigure:
    """Draw two bars for each hyperparameter."""
    if len(record.searched) < 2:
        return CaptionedFigure(None, "Only one hyperparameter was searched, so there is nothing to rank.")
    ranked = _ranked(record)
    half = _half(ranked)
    everyone, better = shares(record)
    if not everyone:
        return CaptionedFigure(
            None,
            f"Importance needs {_FEWEST} trials that differ in at least two hyperparameters they have in common.",
        )
    names = sorted(everyone, key=lambda name: everyone[name])
    figure, panels = style.canvas(1, 1, (6.5, 0.8 + 0.42 * len(names)))
    panel = panels[0, 0]
    bars = [(everyone, 0.2, style.BLUE, "", f"all {len(ranked)} trials")]
    if better:
        bars.append((better, -0.2, style.ORANGE, "//", f"the better half ({len(half)})"))
    for explained, shift, colour, hatch, label in bars:
        widths = [explained.get(name, 0.0) for name in names]
        places = [at + (shift if better else 0) for at in range(len(names))]
        boxes = panel.barh(places, widths, 0.38, color=colour, hatch=hatch, edgecolor="white", label=label)
        panel.bar_label(boxes, [f"{width:.2f}" for width in widths], padding=3, fontsize="small")
    panel.set_yticks(range(len(names)), [style.literal(name, 24) for name in names])
    panel.set_xlim(0, 1.08)
    panel.set_xlabel("share of the explained variance of the objective")
    style.legend(figure, [panel])
    caption = (
        "The bars show importances by functional ANOVA (fANOVA in Optuna). Over all trials, extreme values dominate;"
    )
    caption += (
        " the better half shows what matters near the optimum. A pruned trial counts with the best value it reached."
    )
    if len(ranked) > _MOST:
        caption += f" They are computed from {_MOST} trials, evenly spaced by rank."
    if missing := [name for name in record.searched if name not in everyone]:
        caption += f" The figure leaves out {', '.join(missing)}: some trials lack a value, or all have the same one."
    return CaptionedFigure(figure, caption)
