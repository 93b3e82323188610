"""The figure of a comparison: a panel of the chosen trials and a panel of their differences, with 95% intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.show.interval import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 34


@dataclass(frozen=True)
class Row:
    """An interval with its label, two lines of text; a difference that is not significant has an open marker."""

    label: tuple[str, str]
    interval: Interval
    filled: bool = True


def draw_intervals(
    trials: Sequence[Row], pairs: Sequence[Row], labels: tuple[str, str], titles: tuple[str, str, str]
) -> Figure:
    """Draw two panels of intervals.

    Args:
        trials: the rows of the left panel.
        pairs: the rows of the right panel, which marks the difference 0.
        labels: the labels of the two x axes.
        titles: the titles of the two panels and of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.9 + 0.55 * max(len(trials), len(pairs))), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, rows, label, title in zip((left, right), (trials, pairs), labels, titles, strict=False):
        _panel(axes, rows)
        axes.set(xlabel=label, title=title)
    right.axvline(0, color="0.35", linewidth=1.2, linestyle="--")
    figure.suptitle(titles[2], fontsize="medium")
    return figure


def _panel(axes: Axes, rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        value, low, high = row.interval.value, row.interval.low, row.interval.high
        axes.errorbar(
            value,
            place,
            xerr=[[value - low], [high - value]],
            fmt="o" if row.filled else "s",
            color="black",
            markerfacecolor="black" if row.filled else "white",
            markersize=6,
            capsize=4,
            linewidth=1.4,
        )
    axes.set_yticks(range(len(rows)), [_lines(row.label) for row in rows], fontsize="small")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", color="0.88")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _lines(label: tuple[str, str]) -> str:
    """Return two lines that leave the panel its room. Matplotlib would read a dollar sign as the start of a formula."""
    clipped = (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..." for text in label)
    return "\n".join(clipped).replace("$", r"\$")
