"""The pruning timeline: when each trial ended, and how well the rungs predicted the final order."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from search.errors import counted
from search.report.drawing import CaptionedFigure
from search.report.record import Record
from search.report.statistics import Correlation, correlations, saved
from search.show import figure_style as style

_RUNGS = 10
_FEWEST = 3  # the fewest pairs that `statistics.spearman` takes


def draw(record: Record) -> CaptionedFigure:
    """Draw a bar of epochs for each trial, and the rank correlation of each rung with the final objective."""
    entries = [entry for entry in record.entries if entry.epochs]
    if not record.rungs and all(one.epochs == one.planned for one in entries):
        return CaptionedFigure(None, "The study has no rungs, and every trial trained for all its epochs.")
    known = [one for one in correlations(record) if one.rho is not None]
    beside = len(known) > 1
    height = min(7.0, max(3.0, 0.9 + 0.07 * len(entries)))
    figure, panels = style.canvas(1, 2 if beside else 1, (4.6, height))
    panel = panels[0, 0]
    # The bars are as thick, in points, as there is room for.
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
        _correlations(panels[0, 1], known)
    style.legend(figure, panels.flat)
    for handle in figure.legends[0].legend_handles:
        if isinstance(handle, Line2D) and handle.get_label() != "rung":
            handle.set_linewidth(7)
    return CaptionedFigure(figure, caption(record))


def _correlations(panel: Axes, known: Sequence[Correlation]) -> None:
    rungs, rhos = [one.rung for one in known], [one.rho or 0.0 for one in known]
    panel.plot(rungs, rhos, "o-", color=style.BLUE, markersize=7)
    for index, (rung, rho) in enumerate(zip(rungs, rhos, strict=True)):
        if len(rungs) < 9 or index in (0, len(rungs) - 1):
            panel.annotate(
                f"{rho:.2f}\nn = {known[index].n}",
                (rung, rho),
                xytext=(0, -9 if rho > 0 else 9),
                textcoords="offset points",
                ha="center",
                va="top" if rho > 0 else "bottom",
                fontsize="small",
            )
    panel.axhline(0, color=style.BLACK, linewidth=0.8)
    panel.set(
        xlabel="rung (epoch)", ylabel="rank correlation with the final objective", ylim=(min(0.0, *rhos) - 0.15, 1.05)
    )
    panel.margins(x=0.2)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def caption(record: Record) -> str:
    """Return sentences on what pruning saved, and on how well the rungs ordered the trials that finished."""
    total = saved(record)
    if total.by_pruning:
        sentences = [f"Pruning saved {total.share:.0%} of the {total.planned:,} epochs that were planned."]
    elif record.rungs:
        sentences = ["Pruning saved nothing, because no trial was pruned."]
    else:
        sentences = ["Pruning saved nothing, because the study has no rungs."]
    if total.otherwise:
        verb = "was" if total.otherwise == 1 else "were"
        sentences.append(
            f"{counted(total.otherwise, 'epoch')} {verb} not trained because of early stopping or divergence."
        )
    rungs = correlations(record)
    sentences += [_correlation(rung) for rung in rungs[:_RUNGS]]
    if len(rungs) > _RUNGS:
        sentences.append(f"The caption leaves out {counted(len(rungs) - _RUNGS, 'later rung')}.")
    if record.pruned and any(rung.rho is not None for rung in rungs):
        sentences.append(
            "These correlations cover only the trials that pruning let finish; they would differ over all trials."
        )
    return " ".join(sentences)


def _correlation(rung: Correlation) -> str:
    if rung.rho is not None:
        return (
            f"At epoch {rung.rung}, Spearman's rank correlation with the final objective is {rung.rho:.2f}"
            f" (n = {rung.n})."
        )
    if rung.n < _FEWEST:
        trials = counted(rung.n, "complete trial") if rung.n else "no complete trial"
        return f"At epoch {rung.rung}, {trials} reported a value, and a rank correlation needs {_FEWEST}."
    return f"At epoch {rung.rung}, all {rung.n} complete trials have one value, so there is no rank correlation."
