"""The objective against each searched hyperparameter, and of each setting that the recipe lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from search.report import band, drawing
from search.report.drawing import CaptionedFigure, groups
from search.report.record import Entry, Record
from search.show import figure_style as style


def draw(record: Record) -> CaptionedFigure:
    """Draw a panel for each hyperparameter, on the scale it was searched on."""
    names = list(record.searched)
    rows, columns = style.grid(len(names))
    figure, panels = style.canvas(rows, columns, sharey=True)
    for panel, name in zip(panels.flat, names, strict=False):
        for entries, look, label in groups(record):
            some = drawing.having(record, name, entries)
            places = drawing.hyperparameter_axis(panel, name, record.searched[name], some)
            _points(panel, places, some, look, label, vertical=True)
        never_finite = drawing.having(record, name, record.never_finite)
        drawing.mark_never_finite(panel, drawing.hyperparameter_axis(panel, name, record.searched[name], never_finite))
        band.draw(panel, record, name)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    style.widen(panels[0, 0], [entry.objective for entry in record.finished])
    for row in panels:
        row[0].set_ylabel(record.value_label)
    style.legend(figure, panels.flat)
    return CaptionedFigure(figure, _caption(record) + band.caption(record))


def draw_settings(record: Record) -> CaptionedFigure:
    """Draw a line for each setting that the recipe lists, in its order."""
    labelled = [entry for entry in record.finished if entry.label]
    if not labelled:
        return CaptionedFigure(None, "The recipe lists no settings; it searches a space.")
    figure, panels = style.canvas(1, 1, (7.4, 0.6 + 0.3 * len(labelled)))
    panel = panels[0, 0]
    for entries, look, label in groups(record):
        ours = [one for one in entries if one.label]
        _points(panel, np.array([labelled.index(one) for one in ours]), ours, look, label, vertical=False)
    panel.set_yticks(range(len(labelled)), [style.literal(one.label) for one in labelled])
    panel.set_ylim(len(labelled) - 0.4, -0.6)
    panel.set_xlabel(record.value_label)
    style.legend(figure, [panel])
    return CaptionedFigure(figure, _caption(record))


def _points(
    panel: Axes, places: Any, entries: Sequence[Entry], look: dict[str, Any], label: str, *, vertical: bool
) -> None:
    if not entries:
        return
    values = [one.objective for one in entries]
    spreads = [float(np.std(one.objectives, ddof=1)) if len(one.objectives) > 1 else 0.0 for one in entries]
    bars = style.BARS | {"capsize": 2}
    if vertical:
        panel.errorbar(places, values, yerr=spreads if any(spreads) else None, label=label, **bars, **look)
    else:
        panel.errorbar(values, places, xerr=spreads if any(spreads) else None, label=label, **bars, **look)


def _caption(record: Record) -> str:
    is_loss = record.aim.is_loss
    what = "validation loss without penalties" if is_loss else record.aim.shown
    caption = f"The figure shows the {what} at the best epoch."
    if record.replicates > 1:
        caption += f" Bars extend one standard deviation over {record.replicates} replicates to each side."
    if record.pruned:
        value, bound = ("loss", "an upper") if is_loss else ("value", "a lower" if record.aim.sign < 0 else "an upper")
        caption += (
            f" A pruned trial is shown at the best {value} it reached, {bound} bound on its {value} without pruning."
        )
    return caption
