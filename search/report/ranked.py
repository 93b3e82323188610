"""How well the best network ranks the test rows of each class: ROC and precision-recall curves, and a row of figures.

Each class is told from all others by its probability; of two classes only the second one is shown. The curves and
figures are scikit-learn's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.report.drawing import CaptionedFigure
from search.report.networks import HeldOut
from search.report.record import Record
from search.show import figure_style as style
from search.show.sheet import Sheet

_MOST_CLASSES, _MOST_POINTS = 10, 200


def draw(record: Record, held_out: HeldOut) -> CaptionedFigure:
    """Draw both kinds of curves, a line for each class."""
    found = class_curves(held_out)
    if not found:
        return CaptionedFigure(None, "Curves of ranked rows need classes, at most ten, each with test rows.")
    figure, panels = style.canvas(1, 2, (4.4, 3.9))
    colours = [style.BLUE, style.VERMILLION, style.ORANGE, style.SKY, style.GREY, style.BLACK]
    for at, one in enumerate(found):
        look = {"color": colours[at % len(colours)], "linestyle": "-" if at < len(colours) else "--"}
        panels[0, 0].plot(*zip(*one["roc"], strict=True), label=style.literal(one["name"], 20), **look)
        panels[0, 1].plot(*zip(*one["pr"], strict=True), **look)
    panels[0, 0].plot([0, 1], [0, 1], color=style.GREY, linestyle=":", linewidth=1)
    panels[0, 0].set(xlabel="false positive rate", ylabel="true positive rate")
    panels[0, 1].set(xlabel="recall", ylabel="precision", ylim=(-0.02, 1.02))
    style.legend(figure, panels.flat)
    caption = f"The curves are of the first replicate of trial {record.best.number} on the test rows: each class"
    caption += (
        " against all others"
        if len(found) > 1
        else f" against the other one ({found[0]['name']} is the positive class)"
    )
    return CaptionedFigure(figure, f"{caption}. The dotted line is what guessing reaches.")


def class_curves(held_out: HeldOut) -> list[dict[str, Any]]:
    """Return for each class its name, the points of its ROC curve, and those of precision against recall.

    There are none without probabilities, with too many classes, or where a class or its opposite has no test rows.
    """
    probabilities, classes = held_out.probabilities, held_out.classes
    if probabilities is None or len(classes) > _MOST_CLASSES:
        return []
    from sklearn.metrics import precision_recall_curve, roc_curve

    truth = held_out.truth.astype(np.int64)
    found = []
    for number in range(1 if len(classes) == 2 else 0, len(classes)):
        positive = truth == number
        if not 0 < positive.sum() < len(positive):
            return []
        false, true, _ = roc_curve(positive, probabilities[:, number])
        precision, recall, _ = precision_recall_curve(positive, probabilities[:, number])
        rates, ratios = _points(false, true), _points(recall[::-1], precision[::-1])
        found.append({"name": classes[number], "roc": rates, "pr": ratios})
    return found


def by_class(held_out: HeldOut) -> Sheet | None:
    """Return a table of each class: its test rows, precision, recall and F1; None without classes."""
    if not held_out.classes:
        return None
    from sklearn.metrics import precision_recall_fscore_support

    labels = range(len(held_out.classes))
    truth, predicted = (one.astype(np.int64) for one in (held_out.truth, held_out.predicted))
    found = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=np.nan)
    rows = [
        [name, f"{int(count):,}", *(_share(value) for value in (precision, recall, score))]
        for name, precision, recall, score, count in zip(held_out.classes, *found, strict=True)
    ]
    return Sheet(("class", "test rows", "precision", "recall", "F1"), rows, ("class",))


def _share(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _points(across: NDArray[np.float64], up: NDArray[np.float64]) -> Sequence[list[float]]:
    kept = np.unique(np.linspace(0, len(across) - 1, min(len(across), _MOST_POINTS)).round().astype(np.int64))
    return [[round(float(across[at]), 5), round(float(up[at]), 5)] for at in kept]
