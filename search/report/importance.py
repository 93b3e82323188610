"""Which hyperparameter matters: Optuna's functional ANOVA, over all trials and over the better half of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import optuna
from optuna.trial import create_trial

from search.report import style
from search.report.record import Entry, Record

_FEWEST = 8
# The time grows with the square of the trials: of a thousand, with Optuna's 64 trees, it is half a minute.
_MOST, _TREES = 200, 32


def importances(record: Record, entries: Sequence[Entry]) -> dict[str, float]:
    """The share of the objective's variance that each hyperparameter common to all these trials explains alone.

    Empty with fewer than two such hyperparameters, fewer than eight trials, or where all have one value.
    """
    fitting = [entry for entry in entries if _fits(record, entry)]
    if len(fitting) > _MOST:
        fitting = [fitting[round(at)] for at in np.linspace(0, len(fitting) - 1, _MOST)]
    names = [name for name in record.searched if all(name in entry.params for entry in fitting)]
    names = [name for name in names if len({entry.params[name] for entry in fitting}) > 1]
    if len(names) < 2 or len(fitting) < _FEWEST or len({entry.value for entry in fitting}) < 2:
        return {}
    distributions = {name: record.searched[name] for name in names}
    # Imports scikit-learn, which takes longer than most figures: only where there is something to rank.
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    study = optuna.create_study()
    study.add_trials(
        create_trial(
            params={name: entry.params[name] for name in names}, distributions=distributions, value=entry.value
        )
        for entry in fitting
    )  # fmt: skip
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0, n_trees=_TREES), params=names)


def _fits(record: Record, entry: Entry) -> bool:
    """Whether the study still searches all that the trial has."""
    return all(style.having(record, name, [entry]) for name in record.searched if name in entry.params)


def draw(record: Record) -> style.Shown:
    """Two bars for each hyperparameter."""
    if len(record.searched) < 2:
        return style.Shown(None, "One hyperparameter was searched: all that differs is due to it.")
    ranked = sorted(record.finished, key=lambda entry: (entry.objective, entry.number))
    half = ranked[: -(-len(ranked) // 2)]
    everyone, better = importances(record, ranked), importances(record, half)
    if not everyone:
        return style.Shown(None, f"Importance takes {_FEWEST} trials that differ in two hyperparameters they all have.")
    names = sorted(everyone, key=lambda name: everyone[name])
    figure, panels = style.canvas(1, 1, (6.5, 0.8 + 0.42 * len(names)))
    panel = panels[0, 0]
    bars = [(everyone, 0.2, style.BLUE, "", f"all {len(ranked)} trials")]
    if better:
        bars.append((better, -0.2, style.ORANGE, "//", f"the better half ({len(half)})"))
    for found, shift, colour, hatch, label in bars:
        widths = [found.get(name, 0.0) for name in names]
        places = [at + (shift if better else 0) for at in range(len(names))]
        drawn = panel.barh(places, widths, 0.38, color=colour, hatch=hatch, edgecolor="white", label=label)
        panel.bar_label(drawn, [f"{width:.2f}" for width in widths], padding=3, fontsize="small")
    panel.set_yticks(range(len(names)), [style.text(name, 24) for name in names])
    panel.set_xlim(0, 1.08)
    panel.set_xlabel("share of the explained variance of the objective")
    style.legend(figure, [panel])
    told = "Functional ANOVA (fANOVA of Optuna). Over all trials absurd values weigh most; the better half shows what"
    told += " matters near the optimum. A pruned trial counts with what it had reached."
    if len(ranked) > _MOST:
        told += f" Computed of {_MOST} trials, evenly spaced by rank."
    left = [name for name in record.searched if name not in everyone]
    return style.Shown(figure, told + (f" Not in all trials, so left out: {', '.join(left)}." if left else ""))
