"""The style of figures: colours that differ in lightness too (Okabe and Ito), markers, axes, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

BLUE, VERMILLION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
SKY, GREY, BLACK = "#56B4E9", "#767676", "#000000"

COMPLETE: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": "", "color": BLUE}
PRUNED: dict[str, Any] = {
    "marker": "o",
    "markersize": 5,
    "linestyle": "",
    "markerfacecolor": "none",
    "markeredgecolor": GREY,
}
BEST: dict[str, Any] = {
    "marker": "*",
    "markersize": 15,
    "linestyle": "",
    "color": VERMILLION,
    "markeredgecolor": BLACK,
    "zorder": 5,
}
BARS: dict[str, Any] = {"elinewidth": 0.8, "ecolor": GREY}
BAND: dict[str, Any] = {"color": ORANGE, "alpha": 0.18, "linewidth": 1, "zorder": 0.5}
_WIDE = 8.0
_PANEL = (3.7, 3.1)


def canvas(rows: int = 1, columns: int = 1, size: tuple[float, float] = _PANEL, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of panels and the array of their axes, ``rows x columns``.

    Args:
        size: the width and the height of a panel in inches.
        options: more arguments of `Figure.subplots`.
    """
    figure = Figure(figsize=(max(5.5, 0.6 + size[0] * columns), 0.6 + size[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in panels.flat:
        panel.grid(True, color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        # An offset in a corner is easily overlooked, so values that hardly differ are written out.
        panel.ticklabel_format(useOffset=False)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def grid(count: int, columns: int = 3) -> tuple[int, int]:
    """Return the rows and columns for this many panels, at most `columns` side by side."""
    columns = min(count, columns)
    return -(-count // columns), columns


def epochs(longest: int) -> tuple[float, float]:
    """Return the limits of an axis of epochs, which are whole numbers from 1."""
    margin = max(0.04 * longest, 0.5) if longest > 1 else 1.0
    return 1 - margin, longest + margin


def literal(value: object, longest: int = 40) -> str:
    """Return text that a figure shows as it is, clipped: a dollar sign would begin a formula."""
    text = str(value)
    text = text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
    return text.replace("$", r"\$")


def number(value: object) -> str:
    """Return a float with three digits, anything else as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def distinct_numbers(*values: float) -> list[str]:
    """Return numbers with as few digits, from three on, as keep those that differ apart.

    There are seven at most, because float32 has no more.
    """
    different = len(set(values))
    for digits in range(3, 8):
        texts = [f"{value:.{digits}g}" for value in values]
        if len(set(texts)) == different:
            break
    return texts


def legend(figure: Figure, panels: Iterable[Axes], columns: int = 4) -> None:
    """Draw one legend below all panels, with each label once."""
    handles: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize="small",
        )


def widen(panel: Axes, values: Iterable[float], factor: float = _WIDE, *, across: bool = False) -> bool:
    """Make an axis logarithmic if the values are positive and span more than a factor; return whether it is.

    Args:
        across: whether it is the horizontal axis instead of the vertical one.
    """
    finite = np.array([value for value in values if math.isfinite(value)])
    wide = bool(len(finite) and finite.min() > 0 and finite.max() / finite.min() > factor)
    if wide:
        (panel.set_xscale if across else panel.set_yscale)("log", nonpositive="clip")
        log_ticks(panel.xaxis if across else panel.yaxis, float(finite.min()), float(finite.max()))
    return wide


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Set the ticks of a logarithmic axis: at 1, 2, 5 on a few decades, evenly spaced within less than one."""
    decades = math.log10(high / low)
    if decades < 3:
        axis.set_major_locator(
            MaxNLocator(5, steps=[1, 2, 5, 10])
            if decades < 0.7
            else LogLocator(subs=(1.0, 2.0, 5.0) if decades < 2 else (1.0, 3.0))
        )
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def means_and_bars(samples: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return the mean of each sample, and the lengths of bars from its lowest to its highest value, ``2 x samples``.

    The bars are None if all of them have no length.
    """
    means = np.array([sample.mean() for sample in samples])
    lows, highs = [sample.min() for sample in samples], [sample.max() for sample in samples]
    bars = np.stack([means - lows, highs - means]).clip(min=0)
    return means, bars if bars.any() else None
