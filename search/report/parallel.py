"""Parallel coordinates: each complete trial is a line through its hyperparameters to its value."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.report import drawing
from search.report.drawing import CaptionedFigure
from search.report.record import Entry, Record
from search.show import figure_style as style

_ABSENT = -0.12


def draw(record: Record) -> CaptionedFigure:
    """Draw an axis for each hyperparameter, over its range on the scale it was searched on, and one for the value."""
    names = list(record.searched)
    if len(names) < 2:
        return CaptionedFigure(
            None, "Parallel coordinates of one hyperparameter show no more than the values against it."
        )
    values = np.array([entry.value for entry in record.complete])
    low, high = float(values.min()), float(values.max())
    norm = LogNorm(low, high) if low > 0 and high > 8 * low else Normalize(low, high)
    if style.distinct_numbers(low, high)[0] == style.distinct_numbers(low, high)[1]:
        # Values that differ by rounding alone count as one, in the middle of its axis.
        norm = Normalize(low - 1, low + 1)
    figure, panels = style.canvas(1, 1, (min(13.0, max(6.5, 1.5 * (len(names) + 1))), 3.6))
    panel = panels[0, 0]
    lines = [
        [*(_place(record, one, name) for name in names), float(norm(one.objective))]
        for one in reversed(record.complete)
    ]
    points = [np.column_stack([np.arange(len(line)), line]) for line in lines]
    colours = "viridis_r" if record.aim.direction == "maximize" else "viridis"
    opacity = 0.75 if len(points) < 100 else 0.4
    others = LineCollection(points[:-1], cmap=colours, norm=norm, linewidths=1.2, alpha=opacity)
    others.set_array(values[:0:-1])
    outline = LineCollection(points[-1:], colors=style.BLACK, linewidths=5.5)
    best = LineCollection(points[-1:], colors=style.VERMILLION, linewidths=3)
    for collection in (others, outline, best):
        panel.add_collection(collection)
    ends = style.distinct_numbers(low, high)
    if ends[0] != ends[1]:
        _bar(figure.colorbar(others, ax=panel, label=record.value_label, pad=0.02), low, high)
    panel.set_xlim(-0.15, len(names) + 0.15)
    absent = any(name not in one.params for name in names for one in record.complete)
    panel.set_ylim(_ABSENT - 0.06 if absent else -0.06, 1.06)
    panel.set_xticks(range(len(names) + 1), [*(style.literal(name, 16) for name in names), "value"])
    if len(names) > 6:
        panel.tick_params(axis="x", labelrotation=25)
    panel.set_yticks([])
    panel.grid(False)
    panel.spines[:].set_visible(False)
    panel.vlines(range(len(names) + 1), 0, 1, color=style.BLACK, linewidth=0.8)
    for at, name in enumerate(names):
        for place, label in _ticks(record.searched[name]):
            _write(panel, at, place, label)
    caption = (
        f"Each line is one of {len(values)} complete trials; darker lines are better, and the thick line is the best."
    )
    if ends[0] != ends[1]:
        for place, end in zip((0.0, 1.0), ends, strict=True):
            _write(panel, len(names), place, end)
    else:
        _write(panel, len(names), float(norm(record.best.objective)), ends[0])
        caption = f"Each line is one of {len(values)} complete trials of the same value; the thick line is the best."
    if absent:
        caption += " A line passes below an axis if its trial does not have that hyperparameter."
    return CaptionedFigure(figure, caption)


def _bar(bar: Colorbar, low: float, high: float) -> None:
    """Set ticks that can be distinguished, even if values hardly differ or span decades."""
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
        labels = drawing.choice_labels(distribution)
        return [(at / max(1, len(labels) - 1), label) for at, label in enumerate(labels)]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [(0.0, f"{distribution.low:.3g}"), (1.0, f"{distribution.high:.3g}")]
