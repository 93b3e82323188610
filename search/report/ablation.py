"""The figure of an ablation: what switching each technique changes, with intervals, and the interactions of pairs."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from search.record.ablation import HURTS, LEVEL, UNDECIDED, WOULD_HELP, Ablated, Measured
from search.report.drawing import CaptionedFigure
from search.report.record import Record
from search.show import figure_style as style

_ROW = 0.42  # inches


def draw_kept(record: Record) -> CaptionedFigure:
    """Draw the result that a study keeps."""
    assert record.ablated is not None
    return draw(record.ablated)


def draw(result: Ablated) -> CaptionedFigure:
    """Draw a row for each technique, the most helpful first, and below a row for each pair."""
    effects = [(one.variant, one.difference, one.verdict) for one in result.effects if one.difference is not None]
    pairs = [(" x ".join(one.techniques), one.difference, "") for one in result.interactions if one.difference]
    kinds = [rows for rows in (effects, pairs) if rows]
    if not kinds:
        return CaptionedFigure(None, "Each variant has networks whose loss is never finite, so there is no difference.")
    figure, panels = style.canvas(len(kinds), 1, (6.4, 1.0), height_ratios=[len(rows) + 1.2 for rows in kinds])
    figure.set_size_inches(8.4, 1.2 + sum(0.75 + _ROW * len(rows) for rows in kinds))
    titles = {id(effects): "each technique switched", id(pairs): "interactions of pairs"}
    labels = {
        id(effects): f"{result.label}: variant minus trial {result.trial}",
        id(pairs): f"{result.label}: without both - without one - without the other + with both",
    }
    for panel, rows in zip(panels[:, 0], kinds, strict=True):
        _rows(panel, rows)
        panel.set(xlabel=style.literal(labels[id(rows)], 80), title=titles[id(rows)])
    worse = "right" if result.direction == "minimize" else "left"
    title = (
        f"{result.study}, trial {result.trial}: {result.counts}\nto the {worse} of the dashed line a variant is worse"
    )
    figure.suptitle(style.literal(title, 160), fontsize="medium")
    return CaptionedFigure(figure, caption(result))


def _rows(panel: Axes, rows: Sequence[tuple[str, Measured, str]]) -> None:
    for place, (_, one, verdict) in enumerate(rows):
        told = one.adjusted < LEVEL
        colour = style.VERMILLION if verdict in (HURTS, WOULD_HELP) else style.BLUE if told else style.GREY
        panel.errorbar(
            one.value,
            place,
            xerr=[[one.value - one.low], [one.high - one.value]],
            fmt="o" if told else "s",
            color=colour,
            markerfacecolor=colour if told else "white",
            markersize=6,
            capsize=4,
            linewidth=1.4,
        )
    panel.axvline(0, color=style.BLACK, linewidth=1.0, linestyle="--")
    panel.set_yticks(range(len(rows)), [style.literal(label) for label, *_ in rows], fontsize="small")
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.grid(False, axis="y")
    panel.tick_params(axis="y", length=0)


def caption(result: Ablated) -> str:
    """Return the verdicts, and how to read the figure."""
    undecided = any(one.verdict == UNDECIDED for one in result.effects)
    marks = "Filled points are told apart from no difference; open squares are not. " if undecided else ""
    return (
        f"Around trial {result.trial}, {result.counts}: {result.headline}. Each bar is the 95% interval of one"
        f" difference alone. {marks}"
    ).rstrip()


def describe(record: Record) -> str:
    """Return the verdicts on the techniques, with their numbers."""
    result = record.ablated
    assert result is not None
    told = [one.sentence for one in result.effects if one.verdict != UNDECIDED]
    told += [one.sentence for one in result.interactions if one.difference and one.difference.adjusted < LEVEL]
    sentences = [f"Around trial {result.trial}, {result.counts}: {result.headline}", *told]
    if result.trial != record.best.number:
        sentences.append(f"The best trial is {record.best.number}; regsearch ablate measures around it")
    return f"{'. '.join(sentences)}."
