"""The regularisation path: how the weights change as the regularisation grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from search.report import band, drawing
from search.report.drawing import CaptionedFigure
from search.report.record import Entry, Record
from search.report.strength import strengths
from search.show import figure_style as style

_METRICS = (("sparsity", "share of weights\nwith |w| < 1e-6"), ("weight_norm", "Euclidean norm of\nall weights"))


def draw(record: Record) -> CaptionedFigure:
    """Draw two panels for each strength: sparsity and weight norm at the best epoch against it."""
    names = strengths(record)
    if not names:
        return CaptionedFigure(None, "No searched hyperparameter has a direction of stronger regularisation.")
    blocks, columns = style.grid(len(names))
    figure, panels = style.canvas(2 * blocks, columns, (3.7, 2.4))
    for panel in panels.flat[2 * len(names) :] if blocks == 1 else _unused(panels, len(names), columns):
        panel.set_visible(False)
    for index, name in enumerate(names):
        block, column = divmod(index, columns)
        for row, (metric, label) in enumerate(_METRICS):
            panel = panels[2 * block + row, column]
            _panel(panel, record, name, metric)
            band.draw(panel, record, name)
            if column == 0:
                panel.set_ylabel(label)
    style.legend(figure, panels.flat)
    epochs = f"{_best_epochs(record.complete)} for complete trials"
    if record.pruned:
        epochs += f"; {_best_epochs(record.pruned)} for pruned trials, shown hollow"
    caption = f"The weights are measured at each trial's best epoch ({epochs})."
    if record.pruned:
        caption += " Pruned trials trained for less time, which changes their weights too."
    if record.replicates > 1:
        caption += f" Bars extend from the lowest to the highest of {record.replicates} replicates."
    return CaptionedFigure(figure, caption + band.caption(record))


def _best_epochs(entries: Sequence[Entry]) -> str:
    best_epochs = [entry.best_epochs for entry in entries if entry.epochs]
    if not best_epochs:
        return "not recorded"
    first, last = min(int(some.min()) for some in best_epochs), max(int(some.max()) for some in best_epochs)
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"


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
        finite = [one for one in drawing.having(record, name, entries) if np.isfinite(one.at_best(metric)).all()]
        places = drawing.hyperparameter_axis(panel, name, record.searched[name], finite)
        if finite:
            means, bars = style.means_and_bars([one.at_best(metric) for one in finite])
            panel.errorbar(places, means, yerr=bars, label=label, **style.BARS, **look)
            seen += (means if bars is None else means + bars[1]).tolist()
    if metric == "weight_norm":
        style.widen(panel, seen, 20)
        panel.margins(y=0.12)
    elif seen:
        top = max(0.1, 1.05 * max(seen))
        # Points at 0 need room below them, but a tick there would show a share that cannot be.
        panel.set_ylim(-0.07 * top, top)
        panel.spines["left"].set_bounds(0, top)
        panel.set_yticks([tick for tick in MaxNLocator(5).tick_values(0, top) if 0 <= tick <= top])
