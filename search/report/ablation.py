"""The figure of an ablation: what switching each technique changes, with intervals, and the interactions of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from search.record.ablation import HURTS, LEVEL, UNDECIDED, WOULD_HELP, Ablated, Effect, Measured
from search.report.drawing import CaptionedFigure
from search.report.record import Record
from search.show import figure_style as style

_ROW = 0.42  # inches


def draw_kept(record: Record) -> CaptionedFigure:
    """Draw the result that a study keeps."""
    assert record.ablated is not None
    return draw(record.ablated)


@dataclass(frozen=True)
class _Row:
    """A difference with its label, and its colour if it is told apart from none."""

    label: str
    difference: Measured
    colour: str | None


def draw(result: Ablated) -> CaptionedFigure:
    """Draw a row for each variant, the most helpful techniques first, and below a row for each interaction."""
    pairs = result.interactions
    variants = [_Row(one.variant, one.difference, _colour(one)) for one in result.effects if one.difference]
    variants += [
        _Row(one.variant, one.both, style.BLUE if one.both.adjusted < LEVEL else None) for one in pairs if one.both
    ]
    together = [
        _Row(" x ".join(one.techniques), one.difference, style.BLUE if one.told else None)
        for one in pairs
        if one.difference
    ]
    if not variants:
        return CaptionedFigure(None, "Each variant has networks whose loss is never finite, so there is no difference.")
    worse = "right" if result.direction == "minimize" else "left"
    panels = [
        (variants, f"variant minus trial {result.trial}", f"variants: to the {worse} of the dashed line is worse")
    ]
    if together:
        panels.append((together, "neither on - first only - second only + both on", "interactions"))
    figure, axes = style.canvas(len(panels), 1, height_ratios=[len(rows) + 1.2 for rows, *_ in panels])
    figure.set_size_inches(8.4, 0.9 + sum(0.85 + _ROW * len(rows) for rows, *_ in panels))
    for panel, (rows, what, title) in zip(axes[:, 0], panels, strict=True):
        _rows(panel, rows)
        panel.set(xlabel=style.literal(f"{result.label}: {what}", 100))
        panel.set_title(title, fontsize="medium")
    figure.suptitle(style.literal(f"{result.study}, trial {result.trial}: {result.counts}", 120), fontsize="medium")
    return CaptionedFigure(figure, caption(result))


def _colour(effect: Effect) -> str | None:
    if effect.verdict == UNDECIDED:
        return None
    return style.VERMILLION if effect.verdict in (HURTS, WOULD_HELP) else style.BLUE


def _rows(panel: Axes, rows: Sequence[_Row]) -> None:
    for place, row in enumerate(rows):
        one, colour = row.difference, row.colour or style.GREY
        panel.errorbar(
            one.value,
            place,
            xerr=[[one.value - one.low], [one.high - one.value]],
            fmt="o" if row.colour else "s",
            color=colour,
            markerfacecolor=colour if row.colour else "white",
            markersize=6,
            capsize=4,
            linewidth=1.4,
        )
    panel.axvline(0, color=style.BLACK, linewidth=1.0, linestyle="--")
    panel.set_yticks(range(len(rows)), [style.literal(row.label) for row in rows], fontsize="small")
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.grid(False, axis="y")
    panel.tick_params(axis="y", length=0)


def caption(result: Ablated) -> str:
    """Return the verdicts, and how to read the figure."""
    return (
        f"Around trial {result.trial}, {result.counts}: {result.headline}. Each bar is the 95% interval of one"
        " difference alone. Filled points are told apart from no difference, open squares are not; orange ones mark"
        " techniques that the trial would do better to switch."
    )


def describe(record: Record) -> str:
    """Return the verdicts on the techniques, with their numbers."""
    result = record.ablated
    assert result is not None
    told = [one.sentence for one in result.effects if one.verdict != UNDECIDED]
    told += [one.sentence for one in result.interactions if one.told]
    sentences = [f"Around trial {result.trial}, {result.counts}: {result.headline}", *told]
    if result.trial != record.best.number:
        sentences.append(f"The best trial is {record.best.number}; regsearch ablate measures around it")
    return f"{'. '.join(sentences)}."
