"""The regularisation path: what becomes of the weights as the regularisation grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from search.report import style
from search.report.record import Entry, Record
from search.report.strength import strengths

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
    told = f"complete trials: {_best_epochs(record.complete)}"
    if record.pruned:
        told += f"; pruned ones, hollow: {_best_epochs(record.pruned)}"
    caption = f"Measured at each trial's best epoch ({told})."
    if record.pruned:
        caption += " Pruned trials trained for less time, and differ from the others by that too."
    if record.replicates > 1:
        caption += f" Bars: lowest to highest of {record.replicates} replicates."
    return style.Shown(figure, caption)


def _best_epochs(entries: Sequence[Entry]) -> str:
    found = [one.best_epochs for one in entries if one.epochs]
    if not found:
        return "not recorded"
    first, last = min(int(one.min()) for one in found), max(int(one.max()) for one in found)
    return f"{first}" if first == last else f"{first} to {last}"


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
            means, bars = style.means_and_bars([one.at_best(metric) for one in here])
            panel.errorbar(places, means, yerr=bars, label=label, **style.BARS, **look)
            seen += (means if bars is None else means + bars[1]).tolist()
    if metric == "weight_norm":
        style.widen(panel, seen, 20)
        panel.margins(y=0.12)
    elif seen:
        top = max(0.1, 1.05 * max(seen))
        # Room below for points at 0, but no tick: there is no such share.
        panel.set_ylim(-0.07 * top, top)
        panel.spines["left"].set_bounds(0, top)
        panel.set_yticks([tick for tick in MaxNLocator(5).tick_values(0, top) if 0 <= tick <= top])
