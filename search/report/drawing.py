"""The common parts of a report's figures: a caption, titles that name a trial, axes of hyperparameters."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from search.report.record import Entry, Record
from search.show import figure_style as style
from search.show.text import merged
from search.technique import Value


@dataclass(frozen=True)
class CaptionedFigure:
    """A figure with its caption; if the figure is None, the caption says why there is none."""

    figure: Figure | None
    caption: str


def settings(entry: Entry, names: Iterable[str]) -> str:
    """Return a trial's settings as text, ``l2 = 0.0015, lr = 0.003``, or the name of its setting if it has one."""
    if entry.label:
        return entry.label
    chosen = merged({name: entry.params[name] for name in names if name in entry.params})
    return ", ".join(f"{name} = {style.number(value)}" for name, value in chosen.items())


def heading(role: str, entry: Entry, names: Iterable[str]) -> str:
    """Return a panel's title: the role of its trial, its number, and its settings in at most two lines."""
    # Spaces that do not break keep a name with its value.
    unbroken = "\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}"
    lines = textwrap.wrap(settings(entry, names).replace(" = ", unbroken), 38)
    if len(lines) > 2:
        lines = [lines[0], f"{lines[1]} ..."]
    return "\n".join([f"{role}: trial {entry.number}", *(style.literal(line, 60) for line in lines)])


def mark_never_finite(panel: Axes, places: Sequence[float] | NDArray[np.float64]) -> None:
    """Mark with crosses at the upper edge the trials that have no value to be shown at."""
    if len(places):
        panel.plot(
            places,
            [0.985] * len(places),
            linestyle="",
            marker="x",
            color=style.BLACK,
            markersize=6,
            clip_on=False,
            transform=panel.get_xaxis_transform(),
            label="never finite",
        )


def choice_labels(distribution: CategoricalDistribution) -> list[str]:
    """Return the tick labels of an axis of choices."""
    return [style.literal(style.number(choice), 18) for choice in distribution.choices]


def hyperparameter_axis(
    panel: Axes, name: str, distribution: BaseDistribution, entries: Sequence[Entry]
) -> NDArray[np.float64]:
    """Set up a panel's horizontal axis for a hyperparameter, and return where each trial lies on it.

    The trials of one choice lie side by side, so that they do not cover each other.
    """
    panel.set_xlabel(style.literal(name))
    values = [entry.params[name] for entry in entries]
    if isinstance(distribution, CategoricalDistribution):
        labels = choice_labels(distribution)
        crowded = sum(map(len, labels)) > 30
        panel.set_xticks(range(len(labels)), labels, rotation=35 if crowded else 0, ha="right" if crowded else "center")
        panel.set_xlim(-0.6, len(labels) - 0.4)
        panel.grid(False, axis="x")
        # Multiples of the golden ratio are spread evenly and never meet; a trial keeps its place in every panel.
        spread = [(entry.number * 0.618034) % 1 - 0.5 for entry in entries]
        places = [distribution.choices.index(value) for value in values]
        return np.array(places) + 0.5 * np.array(spread)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if distribution.log:
        panel.set_xscale("log")
        style.log_ticks(panel.xaxis, low, high)
        margin = (high / low) ** 0.04
        panel.set_xlim(low / margin, high * margin)
    else:
        margin = 0.04 * (high - low) or 0.5
        panel.set_xlim(low - margin, high + margin)
    return np.array(values, dtype=np.float64)


def having(record: Record, name: str, entries: Sequence[Entry]) -> list[Entry]:
    """Return the trials that have a hyperparameter, with a value that the study still searches."""
    distribution = record.searched[name]

    def fits(params: Mapping[str, Value]) -> bool:
        if name not in params:
            return False
        return not isinstance(distribution, CategoricalDistribution) or params[name] in distribution.choices

    return [entry for entry in entries if fits(entry.params)]


def groups(record: Record) -> list[tuple[Sequence[Entry], dict[str, Any], str]]:
    """Return the pruned trials, the complete ones and the best, each with its markers' look and its label."""
    return [
        (record.pruned, style.PRUNED, "pruned (best so far)"),
        (record.complete, style.COMPLETE, "complete"),
        ([record.best], style.BEST, f"best: trial {record.best.number}"),
    ]
