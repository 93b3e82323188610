"""The figure of a comparison: every chosen trial with its interval, and every pair's difference with its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from search.compare.pairs import Interval
from search.compare.verdict import Comparison
from search.show import figure_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LONGEST = 34


def figure(found: Comparison) -> Figure:
    """Two panels; a filled marker is a difference, an open one is none that can be told."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    def panel(axes: Axes, rows: list[tuple[str, Interval, bool]]) -> None:
        for at, (_, one, filled) in enumerate(rows):
            axes.errorbar(
                one.value, at, xerr=[[one.value - one.low], [one.high - one.value]], fmt="o" if filled else "s",
                color="black", markerfacecolor="black" if filled else "white", markersize=6, capsize=4, linewidth=1.4,
            )  # fmt: skip
        axes.set_yticks(range(len(rows)), [label for label, *_ in rows], fontsize="small")
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.grid(axis="x", color="0.88")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)

    rows = max(len(found.arms), len(found.pairs))
    made = Figure(figsize=(12, 1.9 + 0.55 * rows), layout="constrained")
    left, right = made.subplots(1, 2)
    panel(left, [(_wrapped(arm.study, arm.label.partition(" (")[0]), found.score(arm), True) for arm in found.arms])
    left.set(
        xlabel=found.label + ("" if found.metric == "accuracy" else ", units of the data"), title="each alone, 95% CI"
    )
    pairs = [(pair, pair.score.interval) for pair in found.pairs]
    panel(
        right,
        [(_wrapped(pair.first.study, f"less {pair.second.study}"), one, one.low > 0 or one.high < 0)
         for pair, one in pairs],
    )  # fmt: skip
    right.axvline(0, color="0.35", linewidth=1.2, linestyle="--")
    unit = "points of test accuracy" if found.metric == "accuracy" else "test RMSE, units of the data"
    better = "right" if found.metric == "accuracy" else "left"
    right.set(xlabel=f"difference, {unit} (the first is better to the {better})", title=f"pairs, {found.confidence}")
    made.suptitle(
        f"{found.replicates} fresh replicates, {found.examples:,} test examples; "
        "pairs: filled = a difference, open = none that can be told", fontsize="medium",
    )  # fmt: skip
    return made


def draw(found: Comparison, file: Path) -> None:
    """Save the figure, as PNG or SVG.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    figure_file.save(figure(found), file, [(arm.study, arm.trial) for arm in found.arms])


def _wrapped(first: str, second: str) -> str:
    """Two lines, neither of which takes the panel's room; a dollar sign would begin a formula."""
    lines = (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..." for text in (first, second))
    return "\n".join(lines).replace("$", r"\$")
