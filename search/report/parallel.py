"""Parallel coordinates: each complete trial a line through its hyperparameters to its value."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.report import style
from search.report.record import Entry, Record

_ABSENT = -0.12


def draw(record: Record) -> style.Shown:
    """Every axis from the lower end of its range to the upper, on the scale of its search; the last is the value."""
    names = list(record.searched)
    values = np.array([entry.value for entry in record.complete])
    low, high = float(values.min()), float(values.max())
    norm = LogNorm(low, high) if low > 0 and high > 8 * low else Normalize(low, high)
    if style.apart(low, high)[0] == style.apart(low, high)[1]:
        # What rounding alone tells apart is one value, in the middle of its axis.
        norm = Normalize(low - 1, low + 1)
    figure, panels = style.canvas(1, 1, (min(13.0, max(6.5, 1.5 * (len(names) + 1))), 3.6))
    panel = panels[0, 0]
    lines = [
        [*(_place(record, one, name) for name in names), float(norm(one.objective))]
        for one in reversed(record.complete)
    ]
    points = [np.column_stack([np.arange(len(line)), line]) for line in lines]
    opacity = 0.75 if len(points) < 100 else 0.4
    drawn = LineCollection(points[:-1], cmap="viridis", norm=norm, linewidths=1.2, alpha=opacity)
    drawn.set_array(values[:0:-1])
    outline = LineCollection(points[-1:], colors=style.BLACK, linewidths=5.5)
    best = LineCollection(points[-1:], colors=style.VERMILLION, linewidths=3)
    for collection in (drawn, outline, best):
        panel.add_collection(collection)
    ends = style.apart(low, high)
    if ends[0] != ends[1]:
        _bar(figure.colorbar(drawn, ax=panel, label=f"validation {record.loss_label}", pad=0.02), low, high)
    panel.set_xlim(-0.15, len(names) + 0.15)
    absent = any(name not in one.params for name in names for one in record.complete)
    panel.set_ylim(_ABSENT - 0.06 if absent else -0.06, 1.06)
    panel.set_xticks(range(len(names) + 1), [*(style.text(name, 16) for name in names), "value"])
    if len(names) > 6:
        panel.tick_params(axis="x", labelrotation=25)
    panel.set_yticks([])
    panel.grid(False)
    panel.spines[:].set_visible(False)
    panel.vlines(range(len(names) + 1), 0, 1, color=style.BLACK, linewidth=0.8)
    for at, name in enumerate(names):
        for place, label in _ticks(record.searched[name]):
            _write(panel, at, place, label)
    caption = f"{len(values)} complete trials; darker is better, the best is the thick line."
    if ends[0] != ends[1]:
        for place, end in zip((0.0, 1.0), ends, strict=True):
            _write(panel, len(names), place, end)
    else:
        _write(panel, len(names), float(norm(record.best.objective)), ends[0])
        caption = f"{len(values)} complete trials of the same value; the best is the thick line."
    if absent:
        caption += " A line below an axis: the hyperparameter does not exist in that trial."
    return style.Shown(figure, caption)


def _bar(bar: Colorbar, low: float, high: float) -> None:
    """Ticks that are told apart, also where values hardly differ or span decades."""
    if isinstance(bar.norm, LogNorm):
        style.log_ticks(bar.ax.yaxis, low, high)
    else:
        bar.ax.ticklabel_format(axis="y", useOffset=False)


def _write(panel: Axes, at: int, place: float, label: str) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    panel.text(at + 0.03, place, label, fontsize="x-small", va="center", bbox=box, zorder=6)


def _place(record: Record, entry: Entry, name: str) -> float:
    if name not in entry.params:
        return _ABSENT
    value, distribution = entry.params[name], record.searched[name]
    if isinstance(distribution, CategoricalDistribution):
        at = distribution.choices.index(value)
        return at / max(1, len(distribution.choices) - 1)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, at_ = float(distribution.low), float(distribution.high), float(value)
    if distribution.log:
        low, high, at_ = np.log([low, high, at_]).tolist()
    return (at_ - low) / (high - low) if high > low else 0.5


def _ticks(distribution: BaseDistribution) -> list[tuple[float, str]]:
    if isinstance(distribution, CategoricalDistribution):
        labels = style.choices(distribution)
        return [(at / max(1, len(labels) - 1), label) for at, label in enumerate(labels)]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [(0.0, f"{distribution.low:.3g}"), (1.0, f"{distribution.high:.3g}")]
