"""The optimisation history: the value of each trial by its number, and the best value so far."""

from __future__ import annotations

import numpy as np

from search.report import drawing
from search.report.drawing import CaptionedFigure
from search.report.record import Record
from search.show import figure_style as style


def draw(record: Record) -> CaptionedFigure:
    """Draw the values of complete and pruned trials by number, and the best one so far as a step line."""
    figure, panels = style.canvas(1, 1, (7.4, 3.4))
    panel = panels[0, 0]
    values = [entry.objective for entry in record.finished]
    style.widen(panel, values)
    for entries, look, label in (
        (record.pruned, style.PRUNED, "pruned (best so far)"),
        (record.complete, style.COMPLETE, "complete"),
    ):
        if entries:
            panel.plot([one.number for one in entries], [one.value for one in entries], label=label, **look)
    complete = sorted(record.complete, key=lambda entry: entry.number)
    so_far = record.aim.loss(np.minimum.accumulate([one.loss for one in complete]))
    numbers = [*(one.number for one in complete), record.entries[-1].number]
    panel.step(numbers, [*so_far, so_far[-1]], where="post", color=style.VERMILLION, label="best complete trial so far")
    best = record.best
    panel.plot([best.number], [best.value], label=f"best: trial {best.number}", **style.BEST)
    drawing.mark_never_finite(panel, [one.number for one in record.never_finite])
    panel.set(xlabel="trial", ylabel=record.value_label)
    panel.xaxis.get_major_locator().set_params(integer=True)
    style.legend(figure, [panel], columns=5)
    return CaptionedFigure(
        figure, f"The figure shows the objective of {len(values)} trials in the order in which they were asked."
    )
