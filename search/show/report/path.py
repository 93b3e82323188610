"""The regularisation path: what becomes of the weights as the regularisation grows."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from search.show.report import style
from search.show.report.record import Entry, Record
from search.show.report.strength import strengths

_METRICS = (("sparsity", "share of weights\nwith |w| < 1e-6"), ("weight_norm", "Euclidean norm of\nall weights"))


def draw(record: Record) -> style.Shown:
    """Sparsity and weight norm at the best epoch against each strength, two panels each."""
    names = strengths(record)
    if not names:
        return style.Shown(None, "Nothing that was searched has a direction of stronger regularisation.")
    blocks, columns = style.grid(len(names))
    figure, panels = style.canvas(2 * blocks, columns, (3.7, 2.4))
    for panel in panels.flat[2 * len(names) :] if blocks == 1 else _unused(panels, len(names), columns):
        panel.set_visible(False)
    for index, name in enumerate(names):
        block, column = divmod(index, columns)
        for row, (metric, label) in enumerate(_METRICS):
            panel = panels[2 * block + row, column]
            _panel(panel, record, name, metric)
            if column == 0:
                panel.set_ylabel(label)
    style.legend(figure, panels.flat)
    caption = "Measured at each trial's best epoch, which a trial that was pruned early may not have reached."
    if record.replicates > 1:
        caption += f" Bars: lowest to highest of {record.replicates} replicates."
    return style.Shown(figure, caption)


def _unused(panels: Any, count: int, columns: int) -> list[Axes]:
    return [
        panels[row, column]
        for row in range(len(panels))
        for column in range(columns)
        if (row // 2) * columns + column >= count
    ]


def _panel(panel: Axes, record: Record, name: str, metric: str) -> None:
    seen: list[float] = []
    for entries, look, label in (
        (record.pruned, style.PRUNED, "pruned"),
        (record.complete, style.COMPLETE, "complete"),
        ([record.best], style.BEST, f"best: trial {record.best.number}"),
    ):
        here = [one for one in style.having(record, name, entries) if np.isfinite(one.at_best(metric)).all()]
        places = style.along(panel, name, record.searched[name], here)
        if here:
            means, bars = _spread(here, metric)
            panel.errorbar(places, means, yerr=bars, label=label, elinewidth=0.8, ecolor=style.GREY, **look)
            seen += means.tolist()
    if metric == "weight_norm":
        style.widen(panel, seen, 20)
        panel.margins(y=0.12)
    elif seen:
        panel.set_ylim(-0.02, max(0.1, 1.05 * max(seen)))


def _spread(entries: list[Entry], metric: str) -> tuple[Any, Any]:
    found = [one.at_best(metric) for one in entries]
    means = np.array([one.mean() for one in found])
    low, high = np.array([one.min() for one in found]), np.array([one.max() for one in found])
    bars = np.stack([np.maximum(0, means - low), np.maximum(0, high - means)])
    return means, bars if bars.any() else None
