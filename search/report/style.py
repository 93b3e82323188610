"""How figures look: colours that differ in lightness too (Okabe and Ito), markers, axes, legends beside the data."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.report.record import Entry, Record
from search.technique import Value

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, GREY, BLACK = "#CC79A7", "#56B4E9", "#767676", "#000000"

COMPLETE: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": "", "color": BLUE}
PRUNED: dict[str, Any] = {
    "marker": "o", "markersize": 5, "linestyle": "", "markerfacecolor": "none", "markeredgecolor": GREY,
}  # fmt: skip
BEST: dict[str, Any] = {
    "marker": "*", "markersize": 15, "linestyle": "", "color": VERMILLION, "markeredgecolor": BLACK, "zorder": 5,
}  # fmt: skip
BARS: dict[str, Any] = {"elinewidth": 0.8, "ecolor": GREY}
_WIDE = 8.0
_PANEL = (3.7, 3.1)


@dataclass(frozen=True)
class Shown:
    """A figure with its caption; without a figure, the caption says why there is none."""

    figure: Figure | None
    caption: str


def mark_never_finite(panel: Axes, places: Sequence[float] | NDArray[np.float64]) -> None:
    """Crosses at the upper edge: trials that have no value to be shown at."""
    if len(places):
        panel.plot(
            places, [0.985] * len(places), linestyle="", marker="x", color=BLACK, markersize=6, clip_on=False,
            transform=panel.get_xaxis_transform(), label="never finite",
        )  # fmt: skip


def canvas(rows: int = 1, columns: int = 1, size: tuple[float, float] = _PANEL, **options: Any) -> tuple[Figure, Any]:
    """A figure of panels and their axes ``rows x columns``, an array."""
    figure = Figure(figsize=(max(5.5, 0.6 + size[0] * columns), 0.6 + size[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in panels.flat:
        panel.grid(True, color="#dddddd", linewidth=0.6)
        panel.set_axisbelow(True)
        # Values that hardly differ are written out: a sum in a corner is not read.
        panel.ticklabel_format(useOffset=False)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def epochs(longest: int) -> tuple[float, float]:
    """The ends of an axis of epochs, which are whole numbers from 1."""
    margin = max(0.04 * longest, 0.5) if longest > 1 else 1.0
    return 1 - margin, longest + margin


def grid(count: int, columns: int = 3) -> tuple[int, int]:
    """Rows and columns for so many panels."""
    columns = min(count, columns)
    return -(-count // columns), columns


def text(value: object, longest: int = 40) -> str:
    """Words as a figure shows them as they are: a dollar sign would begin a formula."""
    words = str(value)
    words = words if len(words) <= longest else f"{words[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
    return words.replace("$", r"\$")


def number(value: object) -> str:
    """Three digits of a number."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def apart(*values: float) -> list[str]:
    """Numbers with three digits, or as many as tell those that differ apart, to seven: float32 has no more."""
    different = len(set(values))
    for digits in range(3, 8):
        told = [f"{value:.{digits}g}" for value in values]
        if len(set(told)) == different:
            break
    return told


def settings(entry: Entry, names: Iterable[str]) -> str:
    """``l2 = 0.0015, lr = 0.003``, or the setting's name."""
    if entry.label:
        return entry.label
    return ", ".join(f"{name} = {number(entry.params[name])}" for name in names if name in entry.params)


def heading(what: str, entry: Entry, names: Iterable[str]) -> str:
    """A panel's title: which trial it is, and its settings in at most two lines."""
    # Spaces that do not break: a name stays with its value.
    unbroken = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
    lines = textwrap.wrap(settings(entry, names).replace(" = ", unbroken), 38)
    told = [*lines[:1], lines[1] + (" ..." if len(lines) > 2 else "")] if len(lines) > 1 else lines
    return "\n".join([f"{what}: trial {entry.number}", *(text(line, 60) for line in told)])


def legend(figure: Figure, panels: Iterable[Axes], columns: int = 4) -> None:
    """One legend below all panels, each label once."""
    handles: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside lower center", ncols=columns, frameon=False,
            fontsize="small",
        )  # fmt: skip


def widen(panel: Axes, values: Iterable[float], factor: float = _WIDE, *, across: bool = False) -> bool:
    """A logarithmic vertical (or horizontal) axis where positive values span more than a factor; whether it is one."""
    found = np.array([value for value in values if math.isfinite(value)])
    wide = bool(len(found) and found.min() > 0 and found.max() / found.min() > factor)
    if wide:
        (panel.set_xscale if across else panel.set_yscale)("log", nonpositive="clip")
        log_ticks(panel.xaxis if across else panel.yaxis, float(found.min()), float(found.max()))
    return wide


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Ticks of a logarithmic axis: at 1, 2, 5 where it spans few decades, evenly spaced numbers in less than one."""
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


def means_and_bars(found: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """The mean of each trial's replicates, and bars from lowest to highest; None where all have no length."""
    means = np.array([one.mean() for one in found])
    bars = np.stack([means - [one.min() for one in found], [one.max() for one in found] - means]).clip(min=0)
    return means, bars if bars.any() else None


def choices(distribution: CategoricalDistribution) -> list[str]:
    """The labels of an axis of choices."""
    return [text(number(choice), 18) for choice in distribution.choices]


def along(panel: Axes, name: str, distribution: BaseDistribution, entries: Sequence[Entry]) -> NDArray[np.float64]:
    """Set up a panel's horizontal axis for a hyperparameter; where each trial lies on it, choices as strips."""
    panel.set_xlabel(text(name))
    values = [entry.params[name] for entry in entries]
    if isinstance(distribution, CategoricalDistribution):
        labels = choices(distribution)
        crowded = sum(map(len, labels)) > 30
        panel.set_xticks(range(len(labels)), labels, rotation=35 if crowded else 0, ha="right" if crowded else "center")
        panel.set_xlim(-0.6, len(labels) - 0.4)
        panel.grid(False, axis="x")
        # Spread evenly, the same for each number: the golden ratio never falls on the same place twice.
        spread = [(entry.number * 0.618034) % 1 - 0.5 for entry in entries]
        places = [distribution.choices.index(value) for value in values]
        return np.array(places) + 0.5 * np.array(spread)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        panel.set_xscale("log")
        log_ticks(panel.xaxis, low, high)
        margin = (high / low) ** 0.04
        panel.set_xlim(low / margin, high * margin)
    else:
        margin = 0.04 * (high - low) or 0.5
        panel.set_xlim(low - margin, high + margin)
    return np.array(values, dtype=np.float64)


def having(record: Record, name: str, entries: Sequence[Entry]) -> list[Entry]:
    """The trials in which a hyperparameter exists, with a value that the study still searches."""
    distribution = record.searched[name]

    def fits(params: Mapping[str, Value]) -> bool:
        if name not in params:
            return False
        return not isinstance(distribution, CategoricalDistribution) or params[name] in distribution.choices

    return [entry for entry in entries if fits(entry.params)]
