"""The figure of the best trial on the test split: its confusion matrix, or its predictions against the true values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from search.report.drawing import CaptionedFigure
from search.report.networks import HeldOut
from search.report.record import Record
from search.show import figure_style as style

_MOST_NUMBERS, _MOST_OUTPUTS = 20, 3


def draw(record: Record, held_out: HeldOut, classes: Sequence[str]) -> CaptionedFigure:
    """Draw the confusion matrix if there are classes, else the predictions against the true values."""
    caption = (
        f"The figure shows the first replicate of trial {record.best.number} on {len(held_out.truth):,} test rows."
    )
    caption += f" The test split of this study has been read {held_out.times_read};"
    caption += " each reading that guides a choice makes its results more optimistic."
    return _confusion(held_out, classes, caption) if classes else _scatter(held_out, caption)


def _confusion(held_out: HeldOut, classes: Sequence[str], caption: str) -> CaptionedFigure:
    count = len(classes)
    matrix = np.zeros((count, count), dtype=np.int64)
    np.add.at(matrix, (held_out.truth.astype(np.int64), held_out.predicted.astype(np.int64)), 1)
    side = min(9.0, max(4.2, 0.42 * count + 1.6))
    figure, panels = style.canvas(1, 1, (side, side - 0.6))
    panel = panels[0, 0]
    panel.grid(False)
    errors = matrix - np.diag(np.diag(matrix))
    # Only the errors are shaded: next to the large counts of the diagonal, their shades would all look the same.
    shades = LinearSegmentedColormap.from_list("errors", ["white", style.ORANGE, style.VERMILLION])
    image = panel.imshow(errors, cmap=shades, vmin=0, vmax=max(2, int(errors.max())))
    numbers = count <= _MOST_NUMBERS
    # Where all shades are the same, a scale says nothing, unless there are no written numbers.
    if errors.max() > 1 or (errors.any() and not numbers):
        figure.colorbar(
            image, ax=panel, label="rows taken for another class", shrink=0.8, ticks=MaxNLocator(5, integer=True)
        )
    names = [style.literal(name, 14) for name in classes]
    every = max(1, count // 25)
    crowded = sum(map(len, names)) > 40
    rotation, align = (45, "right") if crowded else (0, "center")
    panel.set_xticks(range(0, count, every), names[::every], rotation=rotation, ha=align)
    panel.set_yticks(range(0, count, every), names[::every])
    if numbers:
        for row, column in np.argwhere(matrix > 0):
            weight = "bold" if row == column else "normal"
            panel.text(column, row, f"{matrix[row, column]}", ha="center", va="center", weight=weight, fontsize="small")
    panel.set(xlabel="predicted", ylabel="true class")
    right = int(np.trace(matrix))
    if right == len(held_out.truth):
        return CaptionedFigure(figure, f"{caption} All predictions are right.")
    shades_of = "each shaded cell is one wrong row" if errors.max() == 1 else "only wrong predictions are shaded"
    return CaptionedFigure(figure, f"{caption} The prediction is right for {right:,} of them; {shades_of}.")


def _scatter(held_out: HeldOut, caption: str) -> CaptionedFigure:
    outputs = min(held_out.truth.shape[1], _MOST_OUTPUTS)
    figure, panels = style.canvas(1, outputs, (4.6, 4.2))
    for output, panel in enumerate(panels[0]):
        truth, predicted = (one[:, output].astype(np.float64) for one in (held_out.truth, held_out.predicted))
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        panel.plot(ends, ends, color=style.BLACK, linestyle="--", linewidth=1, label="predicted = true")
        panel.plot(truth, predicted, label="test row", alpha=0.7, **style.COMPLETE)
        target = "target" if outputs == 1 else f"target {output + 1}"
        panel.set(xlabel=f"true {target} (units of the data)", ylabel=f"predicted {target}", aspect="equal")
    style.legend(figure, panels[0])
    return CaptionedFigure(figure, caption)
