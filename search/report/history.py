"""The optimisation history: each trial's value by its number, and the best so far."""

from __future__ import annotations

import numpy as np

from search.report import style
from search.report.record import Record


def draw(record: Record) -> style.Shown:
    """Values by trial number; pruned ones hollow, the best so far as a step."""
    figure, panels = style.canvas(1, 1, (7.4, 3.4))
    panel = panels[0, 0]
    values = [entry.objective for entry in record.finished]
    style.widen(panel, values)
    for entries, look, label in (
        (record.pruned, style.PRUNED, "pruned (best until then)"),
        (record.complete, style.COMPLETE, "complete"),
    ):
        if entries:
            panel.plot([one.number for one in entries], [one.value for one in entries], label=label, **look)
    complete = sorted(record.complete, key=lambda entry: entry.number)
    so_far = np.minimum.accumulate([one.objective for one in complete])
    numbers = [*(one.number for one in complete), record.entries[-1].number]
    panel.step(numbers, [*so_far, so_far[-1]], where="post", color=style.VERMILLION, label="best so far, of complete")
    best = record.best
    panel.plot([best.number], [best.value], label=f"best: trial {best.number}", **style.BEST)
    style.mark_never_finite(panel, [one.number for one in record.never_finite])
    panel.set(xlabel="trial", ylabel=f"validation {record.loss_label}")
    panel.xaxis.get_major_locator().set_params(integer=True)
    style.legend(figure, [panel], columns=5)
    return style.Shown(figure, f"The objective of {len(values)} trials in the order they were asked.")
