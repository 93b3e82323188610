"""The Pareto front of a study of several objectives: what an improvement in one costs in the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from search.record.objectives import hypervolume
from search.report.drawing import CaptionedFigure
from search.report.record import Entry, Record
from search.show import figure_style as style
from search.train.metrics.objective import VAL_LOSS as LOSS

_APART = 0.09  # the least distance between two trial numbers, as a share of the panel


def draw(record: Record) -> CaptionedFigure:
    """Draw a panel for each other objective against the first; the front of two objectives is a step line."""
    others = record.objectives.names[1:]
    figure, panels = style.canvas(*style.grid(len(others), 2), (5.2 if len(others) == 1 else 4.4, 3.9))
    for panel, name in zip(panels.flat, others, strict=False):
        _panel(panel, record, name)
    for panel in panels.flat[len(others) :]:
        panel.set_visible(False)
    style.legend(figure, panels.flat)
    caption = "The figure shows each trial at its best epoch; the numbers are those of trials on the front."
    caption += " No complete trial is better than one on the front in one objective and at least as good in the others."
    if record.pruned:
        caption += " Pruned trials are shown as they were when they stopped."
    if record.replicates > 1:
        caption += f" Bars extend from the lowest to the highest of {record.replicates} replicates."
    if len(others) > 1:
        caption += " The front is that of all objectives together, so within one panel a trial of the front may seem"
        caption += " to be dominated."
    return CaptionedFigure(figure, caption)


def _panel(panel: Axes, record: Record, name: str) -> None:
    front = record.front
    rest = [one for one in record.complete if one not in front]
    looks = (
        (record.pruned, style.PRUNED, "pruned"),
        (rest, style.COMPLETE | {"color": style.SKY}, "complete, dominated"),
        (front, style.COMPLETE | {"markersize": 6.5, "zorder": 4}, "Pareto front"),
    )
    for entries, look, label in looks:
        finite = [one for one in entries if np.isfinite(one.at_best(name)).all() and math.isfinite(one.objective)]
        if finite:
            x, across = style.means_and_bars([one.objectives for one in finite])
            y, up = style.means_and_bars([one.at_best(name) for one in finite])
            panel.errorbar(x, y, xerr=across, yerr=up, label=label, **style.BARS, **look)
    firsts = [one.objective for one in front]
    style.widen(panel, firsts, 3, across=True)
    if len(record.objectives.names) == 2:
        panel.plot(
            firsts, [one.at_best(name).mean() for one in front], color=style.BLUE, linewidth=1.2, drawstyle="steps-post"
        )
    for entry in _numbered(panel, front, name):
        panel.annotate(
            str(entry.number),
            (entry.objective, entry.at_best(name).mean()),
            xytext=(5, -4),
            fontsize="small",
            textcoords="offset points",
            va="top",
        )
    panel.set(xlabel=record.value_label, ylabel=_label(record, name))


def _label(record: Record, name: str) -> str:
    if name == LOSS.name:
        return f"validation {record.loss_label}"
    return next(one.shown for one in record.objectives.each if one.name == name)


def _numbered(panel: Axes, front: Sequence[Entry], name: str) -> list[Entry]:
    """Return the trials whose number is written next to them: the ends, then those not too near to another one."""
    panel.autoscale_view()
    places = panel.transAxes.inverted().transform(
        panel.transData.transform([(one.objective, one.at_best(name).mean()) for one in front])
    )
    numbered: list[int] = []
    for index in (0, len(front) - 1, *range(1, len(front) - 1)):
        if all(np.hypot(*(places[index] - places[other])) > _APART for other in numbered):
            numbered.append(index)
    return [front[index] for index in numbered]


def describe(record: Record) -> str:
    """Return sentences on the ends of the front, and on its hypervolume if the reference point is known."""
    front, names = record.front, record.objectives.names
    values = [record.values(one) for one in front]
    ends = [
        f"trial {one.number} ({', '.join(f'{name} {at:.4g}' for name, at in zip(names, point, strict=True))})"
        for one, point in ((front[0], values[0]), (front[-1], values[-1]))
    ]
    if len(front) == 1:
        text = f"No complete trial is better in any objective than {ends[0]}."
    else:
        text = f"{len(front)} of {len(record.complete)} complete trials are on the Pareto front, from {ends[0]} to"
        text += f" {ends[1]}. Which of them is best is for you to decide."
    if names[1:] == ("sparsity",) and record.constant is not None:
        volume = hypervolume(record.objectives.losses(values), [record.aim.loss(record.constant), 0.0])
        text += (
            f" The hypervolume of the front is {volume:.4g}; its reference point is the best constant predictor, with"
        )
        text += f" {names[0]} {record.constant:.4g} and sparsity 0."
    return text
