"""The Pareto front of a study of several objectives: what each further bit of one costs in the others."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from search.record.objectives import hypervolume
from search.report import style
from search.report.record import Entry, Record

_LABELS = {
    "sparsity": "share of weights with |w| < 1e-6",
    "weight_norm": "Euclidean norm of all weights",
}
_APART = 0.09  # of the panel: the least distance of two numbers


def draw(record: Record) -> style.Shown:
    """Each other objective against the validation loss, a panel each; the front as a line of steps."""
    others = record.objectives.names[1:]
    figure, panels = style.canvas(*style.grid(len(others), 2), (5.2 if len(others) == 1 else 4.4, 3.9))
    for panel, name in zip(panels.flat, others, strict=False):
        _panel(panel, record, name)
    for panel in panels.flat[len(others) :]:
        panel.set_visible(False)
    style.legend(figure, panels.flat)
    caption = "Numbers are trials, taken at their best epochs."
    caption += " No trial is better than one of the front in one objective and no worse in the others."
    caption += " Pruned trials are shown as they were when they stopped."
    if record.replicates > 1:
        caption += f" Bars: lowest to highest of {record.replicates} replicates."
    if len(others) > 1:
        caption += " The front is that of all objectives together: in one panel alone its trials need not be in front."
    return style.Shown(figure, caption)


def _panel(panel: Axes, record: Record, name: str) -> None:
    front = record.front
    rest = [one for one in record.complete if one not in front]
    looks = (
        (record.pruned, style.PRUNED, "pruned"),
        (rest, style.COMPLETE | {"color": style.SKY}, "complete, dominated"),
        (front, style.COMPLETE | {"markersize": 6.5, "zorder": 4}, "Pareto front"),
    )
    for entries, look, label in looks:
        here = [one for one in entries if np.isfinite(one.at_best(name)).all() and math.isfinite(one.objective)]
        if here:
            x, across = style.means_and_bars([one.objectives for one in here])
            y, up = style.means_and_bars([one.at_best(name) for one in here])
            panel.errorbar(x, y, xerr=across, yerr=up, label=label, **style.BARS, **look)
    losses = [one.objective for one in front]
    style.widen(panel, losses, 3, across=True)
    if len(record.objectives.names) == 2:
        panel.plot(
            losses, [one.at_best(name).mean() for one in front], color=style.BLUE, linewidth=1.2, drawstyle="steps-post"
        )
    for entry in _named(panel, front, name):
        panel.annotate(
            str(entry.number), (entry.objective, entry.at_best(name).mean()), xytext=(5, -4), fontsize="small",
            textcoords="offset points", va="top",
        )  # fmt: skip
    panel.set(xlabel=f"validation {record.loss_label}", ylabel=_LABELS[name])


def _named(panel: Axes, front: Sequence[Entry], name: str) -> list[Entry]:
    """Those whose number is written beside them: the ends first, then whoever is not in another's way."""
    panel.autoscale_view()
    places = panel.transAxes.inverted().transform(
        panel.transData.transform([(one.objective, one.at_best(name).mean()) for one in front])
    )
    found: list[int] = []
    for index in (0, len(front) - 1, *range(1, len(front) - 1)):
        if all(np.hypot(*(places[index] - places[other])) > _APART for other in found):
            found.append(index)
    return [front[index] for index in found]


def told(record: Record) -> str:
    """The ends of the front, and the hypervolume where the point that bounds it is known."""
    front, names = record.front, record.objectives.names
    values = [record.values(one) for one in front]
    ends = [
        f"trial {one.number} ({', '.join(f'{name} {at:.4g}' for name, at in zip(names, point, strict=True))})"
        for one, point in ((front[0], values[0]), (front[-1], values[-1]))
    ]
    if len(front) == 1:
        text = f"No trial is better in any objective than {ends[0]}."
    else:
        text = f"{len(front)} of {len(record.complete)} complete trials are on the Pareto front, from {ends[0]} to"
        text += f" {ends[1]}: which of them is best is for you to say."
    if names == ("val_loss", "sparsity") and record.constant is not None:
        volume = hypervolume(record.objectives.losses(values), [record.constant, 0.0])
        text += f" Its hypervolume is {volume:.4g} (up to a constant predictor, {record.constant:.4g}, at no sparsity)."
    return text
