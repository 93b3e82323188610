"""The chosen trial on the test split: which classes it takes for which, or what it predicts against what is true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator

from search.errors import counted
from search.report import style
from search.report.networks import HeldOut
from search.report.record import Record

_MOST_NUMBERS, _MOST_OUTPUTS = 20, 3


def draw(record: Record, found: HeldOut, classes: Sequence[str]) -> style.Shown:
    """A confusion matrix, or predictions against the truth."""
    told = f"Trial {record.best.number}, first replicate, on {len(found.truth):,} test rows."
    told += f" The test split of this study has been read {counted(found.readings, 'time')};"
    told += " each reading that a choice follows from makes it less of a test."
    return _confusion(found, classes, told) if classes else _scatter(found, told)


def _confusion(found: HeldOut, classes: Sequence[str], told: str) -> style.Shown:
    count = len(classes)
    matrix = np.zeros((count, count), dtype=np.int64)
    np.add.at(matrix, (found.truth.astype(np.int64), found.predicted.astype(np.int64)), 1)
    side = min(9.0, max(4.2, 0.42 * count + 1.6))
    figure, panels = style.canvas(1, 1, (side, side - 0.6))
    panel = panels[0, 0]
    panel.grid(False)
    errors = matrix - np.diag(np.diag(matrix))
    # Errors are what one looks for: beside the diagonal's counts their shades would all be one.
    shades = LinearSegmentedColormap.from_list("errors", ["white", style.ORANGE, style.VERMILLION])
    image = panel.imshow(errors, cmap=shades, vmin=0, vmax=max(2, int(errors.max())))
    numbers = count <= _MOST_NUMBERS
    # Of shades that are all one, or none, a scale says nothing; where no numbers are written it is all there is.
    if errors.max() > 1 or (errors.any() and not numbers):
        figure.colorbar(
            image, ax=panel, label="rows taken for another class", shrink=0.8, ticks=MaxNLocator(5, integer=True)
        )
    names = [style.text(name, 14) for name in classes]
    every = max(1, count // 25)
    crowded = sum(map(len, names)) > 40
    panel.set_xticks(range(0, count, every), names[::every], rotation=45 if crowded else 0,
                     ha="right" if crowded else "center")  # fmt: skip
    panel.set_yticks(range(0, count, every), names[::every])
    if numbers:
        for row, column in np.argwhere(matrix > 0):
            weight = "bold" if row == column else "normal"
            panel.text(column, row, f"{matrix[row, column]}", ha="center", va="center", weight=weight, fontsize="small")
    panel.set(xlabel="predicted", ylabel="true class")
    right = int(np.trace(matrix))
    if right == len(found.truth):
        return style.Shown(figure, f"{told} Right on all of them.")
    shaded = "shaded: one row each" if errors.max() == 1 else "the diagonal is not shaded"
    return style.Shown(figure, f"{told} Right on {right:,}; {shaded}.")


def _scatter(found: HeldOut, told: str) -> style.Shown:
    outputs = min(found.truth.shape[1], _MOST_OUTPUTS)
    figure, panels = style.canvas(1, outputs, (4.6, 4.2))
    for output, panel in enumerate(panels[0]):
        truth, predicted = (one[:, output].astype(np.float64) for one in (found.truth, found.predicted))
        ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
        panel.plot(ends, ends, color=style.BLACK, linestyle="--", linewidth=1, label="predicted = true")
        panel.plot(truth, predicted, label="test row", alpha=0.7, **style.COMPLETE)
        target = "target" if outputs == 1 else f"target {output + 1}"
        panel.set(xlabel=f"true {target} (its own units)", ylabel=f"predicted {target}", aspect="equal")
    style.legend(figure, panels[0])
    return style.Shown(figure, told)
