"""When trials ended, and whether the rungs could have known: the pruning timeline."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from search.errors import counted
from search.report import style
from search.report.record import Record
from search.report.statistics import Correlation, correlations, saved

_RUNGS = 10
_FEWEST = 3  # pairs that `statistics.spearman` takes


def draw(record: Record) -> style.Shown:
    """Each trial a bar of epochs trained; beside it the rank correlation of each rung with the end."""
    entries = [entry for entry in record.entries if entry.epochs]
    if not record.rungs and all(one.epochs == one.planned for one in entries):
        return style.Shown(None, "The study has no rungs, and every trial trained to its end.")
    found = correlations(record)
    told = [one for one in found if one.rho is not None]
    beside = len(told) > 1
    height = min(7.0, max(3.0, 0.9 + 0.07 * len(entries)))
    figure, panels = style.canvas(1, 2 if beside else 1, (4.6, height))
    panel = panels[0, 0]
    # As thick as there is room for: points per trial.
    thick = max(0.5, min(8.0, 0.62 * 72 * height / max(1, len(entries))))
    kinds = (
        ("complete", style.BLUE, [one for one in entries if one.state == "complete"]),
        ("pruned", style.ORANGE, [one for one in entries if one.state == "pruned" and one.value is not None]),
        ("never finite", style.BLACK, [one for one in entries if one.state == "pruned" and one.value is None]),
    )
    for label, colour, some in kinds:
        if some:
            numbers = [one.number for one in some]
            panel.hlines(numbers, 0, [one.epochs for one in some], color=colour, linewidth=thick, label=label)
    longest = max(one.epochs for one in entries)
    for index, rung in enumerate(rung for rung in record.rungs if rung <= longest):
        panel.axvline(rung, color=style.BLACK, linestyle="--", linewidth=0.8, label=None if index else "rung")
    panel.set(xlabel="epochs trained", ylabel="trial", xlim=(0, 1.02 * longest))
    panel.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panel.invert_yaxis()
    panel.grid(False, axis="y")
    if beside:
        _correlations(panels[0, 1], [one.rung for one in told], [one.rho or 0.0 for one in told], [o.n for o in told])
    style.legend(figure, panels.flat)
    for handle in figure.legends[0].legend_handles:
        if isinstance(handle, Line2D) and handle.get_label() != "rung":
            handle.set_linewidth(7)
    return style.Shown(figure, caption(record))


def _correlations(panel: Axes, rungs: list[int], rhos: list[float], counts: list[int]) -> None:
    panel.plot(rungs, rhos, "o-", color=style.BLUE, markersize=7)
    for index, (rung, rho, count) in enumerate(zip(rungs, rhos, counts, strict=True)):
        if len(rungs) < 9 or index in (0, len(rungs) - 1):
            panel.annotate(
                f"{rho:.2f}\nn = {count}", (rung, rho), xytext=(0, -9 if rho > 0 else 9), textcoords="offset points",
                ha="center", va="top" if rho > 0 else "bottom", fontsize="small",
            )  # fmt: skip
    panel.axhline(0, color=style.BLACK, linewidth=0.8)
    panel.set(
        xlabel="rung (epoch)", ylabel="rank correlation with the final objective", ylim=(min(0.0, *rhos) - 0.15, 1.05)
    )
    panel.margins(x=0.2)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def caption(record: Record) -> str:
    """What pruning saved, and how well the rungs ordered those that finished."""
    total = saved(record)
    if total.by_pruning:
        told = [
            f"Pruning saved {total.share:.0%} of the {total.planned:,} epochs that these trials would have trained."
        ]
    else:
        told = ["Pruning saved nothing: " + ("no trial was pruned." if record.rungs else "the study has no rungs.")]
    if total.otherwise:
        more = counted(total.otherwise, "epoch")
        told.append(f"{more} more not trained, by early stopping or because a loss diverged.")
    found = correlations(record)
    told += [_correlation(one) for one in found[:_RUNGS]]
    if len(found) > _RUNGS:
        told.append(f"And {len(found) - _RUNGS} more rungs.")
    if record.pruned and any(one.rho is not None for one in found):
        told.append("Of those that finished only, which pruning chose: among all trials it would be different.")
    return " ".join(told)


def _correlation(found: Correlation) -> str:
    if found.rho is not None:
        return f"Epoch {found.rung}: Spearman's rank correlation {found.rho:.2f} (n = {found.n})."
    if found.n < _FEWEST:
        trials = counted(found.n, "complete trial") if found.n else "no complete trials"
        return f"Epoch {found.rung}: {trials} reported there, and a rank correlation takes {_FEWEST}."
    return f"Epoch {found.rung}: {found.n} complete trials, but all of one value: no rank correlation."
