"""The learning curve: the best trial's setting trained on parts of the training rows, to see what more rows would do.

The parts are those of the technique `train_fraction`: each is contained in every larger one, and validation rows stay
the same. The value on all rows is the trial's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from search.errors import counted
from search.report.drawing import CaptionedFigure
from search.report.record import Floats, Record
from search.show import figure_style as style
from search.study.retrain import Retraining, retrain
from search.study.study import BaseStudy

FRACTIONS = (0.125, 0.25, 0.5)
_TECHNIQUE = "train_fraction"
_FEWEST_ROWS = 10
_MOST_REPLICATES = 5


@dataclass(frozen=True)
class LearningCurve:
    """The first objective by the number of training rows.

    Attributes:
        rows: the numbers of rows, ascending; the last one is all of them.
        values: for each, the objective of every replicate at its best epoch, ``(replicates,)``.
    """

    rows: Sequence[int]
    values: Sequence[Floats]

    @classmethod
    def of(cls, rows: Sequence[int], values: Sequence[Floats]) -> LearningCurve:
        """Return the curve without the numbers of rows on which a replicate diverged."""
        finite = [at for at, one in enumerate(values) if np.isfinite(one).all()]
        return cls([rows[at] for at in finite], [values[at] for at in finite])


def train(study: BaseStudy, record: Record) -> LearningCurve:
    """Train the setting of the best trial on parts of the rows."""
    best, whole = record.best, len(study.data.x_train)
    fractions = [one for one in FRACTIONS if one * whole >= _FEWEST_ROWS]
    replicates = range(min(record.replicates, _MOST_REPLICATES))
    values = [np.full(len(replicates), record.aim.worst) for _ in fractions]
    if fractions:
        partly = _on_parts(study)
        parts = [
            Retraining.of(partly, number, best.params, replicates, **{_TECHNIQUE: fraction})
            for number, fraction in enumerate(fractions)
        ]
        what = f"training the best trial, {best.number}, on {len(fractions)} parts of the training rows"
        for one in retrain(parts, what):
            values[one.trial][one.replicate] = one.objective
    rows = [math.ceil(fraction * whole) for fraction in fractions]
    return LearningCurve.of([*rows, whole], [*values, best.objectives[: len(replicates)]])


def _on_parts(study: BaseStudy) -> BaseStudy:
    """Return the study with the technique that chooses training rows; it is never opened in a storage."""
    names = study.recipe.techniques
    changes = {} if _TECHNIQUE in names else {"techniques": [*names, _TECHNIQUE], "set": {_TECHNIQUE: 1.0}}
    given = study.given
    return BaseStudy(
        study.recipe.but(study.recipe.name, **changes),
        loaded=study.data,
        tracking_uri=None,
        device=given["device"],
        slots=given["slots"],
        techniques=given["techniques"],
        metrics=given["metrics"],
    )


def draw(record: Record, curve: LearningCurve) -> CaptionedFigure:
    """Draw the mean objective against the number of rows, with the range over replicates."""
    if len(curve.rows) < 2:
        return CaptionedFigure(None, "A learning curve needs training rows of which parts can be trained on.")
    means, bars = style.means_and_bars(curve.values)
    figure, panels = style.canvas(1, 1, (5.2, 3.4))
    panel = panels[0, 0]
    look = {"color": style.BLUE, "marker": "o", "markersize": 6, "linewidth": 1.4, "ecolor": style.GREY}
    panel.errorbar(curve.rows, means, yerr=bars, **look)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(curve.rows))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xticklabels([f"{count:,}" for count in curve.rows])
    style.widen(panel, means.tolist())
    panel.set(xlabel="training rows", ylabel=record.value_label)
    caption = f"Each point is the setting of trial {record.best.number}, trained on so many rows."
    if (count := len(curve.values[0])) > 1:
        caption += f" Bars extend from the lowest to the highest of {counted(count, 'replicate')}."
    return CaptionedFigure(figure, f"{caption} {sentence(record, curve)}")


def sentence(record: Record, curve: LearningCurve) -> str:
    """Say what the last increase of the rows did to the objective."""
    before, after = (float(values.mean()) for values in curve.values[-2:])
    better = record.aim.better(after, before)
    verdict = "better: more rows may help" if better else "no better: more rows may not help"
    return (
        f"From {curve.rows[-2]:,} to {curve.rows[-1]:,} training rows, its {record.aim.shown} went from {before:.4g} to"
        f" {after:.4g}, which is {verdict}."
    )
