"""Training and validation curves, with and without penalty, of trials from the weakest to the strongest regularised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from search.report import drawing
from search.report.drawing import CaptionedFigure
from search.report.record import Entry, Record
from search.report.strength import by_strength, strength, strengths, weakest
from search.show import figure_style as style

_LINES = (
    ("train_loss", "training", style.BLUE, "-", "", 1.3),
    ("train_objective", "training with penalty", style.BLUE, "--", "", 1.2),
    ("val_loss", "validation", style.VERMILLION, "-", "o", 2.4),
    ("val_objective", "validation with penalty", style.VERMILLION, ":", "", 1.8),
)

MEASURED = (
    "The training loss is the mean over the minibatches of an epoch while they train, with noise such as dropout's."
)


def draw(record: Record) -> CaptionedFigure:
    """Draw the weakest, the best and the strongest regularised complete trial, and the strongest pruned one."""
    shown, how = _chosen(record)
    figure = _panels(record, shown)
    dot = "the lowest validation loss"
    if not record.aim.is_loss:
        dot = f"the validation loss at the best epoch, that of the {record.aim.superlative} {record.aim.shown}"
    caption = f"A dot marks {dot}. {MEASURED} {how}"
    if record.replicates > 1:
        caption += f" Lines are means over {record.replicates} replicates. Bands extend from the lowest to the highest"
        caption += " replicate's loss without penalty."
    return CaptionedFigure(figure, caption)


def _chosen(record: Record) -> tuple[dict[str, Entry], str]:
    """Return the trials to show by their role, and a sentence on how they were chosen."""
    best, names = record.best, strengths(record)
    shown = {"best": best}
    order = by_strength(record, record.complete)
    least, most = weakest(record), order[-1]
    if not names or strength(record, order[0]) == strength(record, most):
        shown["worst complete"] = record.complete[-1]
        if not names:
            return shown, "No searched hyperparameter has a direction of stronger regularisation."
        return shown, "All complete trials are equally strongly regularised."
    if least is best:
        shown = {"best, and weakest complete": best}
    elif most is best:
        shown = {"weakest complete": least, "best, and strongest complete": best}
    else:
        shown = {"weakest complete": least, "best": best}
    if most is not best:
        shown["strongest complete"] = most
    last = by_strength(record, [*record.pruned, most])[-1]
    if last.state == "pruned" and strength(record, last) > strength(record, most):
        shown[f"strongest, pruned at epoch {last.epochs}"] = last
    place = f"the place of {names[0]} in its range"
    if len(names) > 1:
        place = f"the mean place of {', '.join(names)} in their ranges"
    return shown, f"Regularisation is ranked by {place}, from the weakest to the strongest."


def draw_noise(record: Record) -> CaptionedFigure:
    """Draw the complete trial with the least noise (dropout) next to the best one."""
    if not record.noisy:
        return CaptionedFigure(None, "No searched hyperparameter controls noise such as dropout.")
    name = record.noisy[0]
    having = drawing.having(record, name, record.complete)
    if not having:
        return CaptionedFigure(None, f"No complete trial has {name}.")
    least = min(having, key=lambda entry: (float(entry.params[name]), entry.loss))
    if least is record.best:
        most = max(having, key=lambda entry: (float(entry.params[name]), entry.number))
        shown = {"best, and least": least, f"most {name}": most}
        caption = f"The best trial is the one with the least {name}; the other panel shows the one with the most."
    else:
        shown = {f"least {name}": least, "best": record.best}
        caption = f"The figure shows the complete trial with the least {name} and the best trial."
    # Only the validation loss is measured in one mode in both: without the noise that training has.
    figure = _panels(record, shown, names=record.noisy, lines=_LINES[2:3])
    return CaptionedFigure(figure, f"{caption} The validation loss is measured without the noise of {name}.")


def _panels(
    record: Record,
    shown: dict[str, Entry],
    names: Sequence[str] | None = None,
    lines: Sequence[tuple[str, str, str, str, str, float]] = _LINES,
) -> Figure:
    # Four panels are two by two: in one row they would be too small to read.
    rows, columns = style.grid(len(shown), 2 if len(shown) == 4 else 3)
    figure, panels = style.canvas(rows, columns, sharex=True, sharey=True)
    seen: list[float] = []
    settings = dict.fromkeys([*strengths(record), *record.searched] if names is None else names)
    for panel, (role, entry) in zip(panels.flat, shown.items(), strict=True):
        seen += _curves(panel, entry, lines)
        panel.set_title(drawing.heading(role, entry, settings), fontsize="medium")
    style.widen(panels[0, 0], seen)
    for panel in panels[:, 0]:
        panel.set_ylabel(record.loss_label)
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    if longest := max((entry.epochs for entry in shown.values()), default=0):
        panels[0, 0].set_xlim(style.epochs(longest))
        panels[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    style.legend(figure, panels.flat)
    return figure


def _curves(panel: Axes, entry: Entry, lines: Sequence[tuple[str, str, str, str, str, float]]) -> list[float]:
    """Draw a trial's curves, and return every value drawn."""
    curves = entry.curves
    if curves is None or not curves.epochs:
        return []
    epochs = np.arange(1, curves.epochs + 1)
    seen: list[float] = []
    for metric, label, colour, line, marker, width in lines:
        if metric not in curves.metrics:
            continue
        values = curves.of(metric).astype(np.float64)
        values = np.where(np.isfinite(values), values, np.nan)
        plain = metric.replace("objective", "loss")
        # Without a penalty the objective is the loss.
        if plain != metric and np.allclose(values, curves.of(plain), rtol=1e-4, equal_nan=True):
            continue
        finite = np.isfinite(values).all(0)
        mean = np.where(finite, values.mean(0), np.nan)
        at = [_best(entry, mean)] if marker and finite.any() else []
        # A single epoch is drawn as a point: training as a square, with a penalty hollow.
        lone = ("s" if metric.startswith("train") else "o") if len(epochs) == 1 else None
        panel.plot(
            epochs,
            mean,
            color=colour,
            linestyle=line,
            linewidth=width,
            label=label,
            marker=marker or lone,
            markevery=at or None,
            markersize=7,
            markeredgecolor=style.BLACK if marker else colour,
            markerfacecolor=colour if plain == metric else "none",
        )
        if curves.replicates > 1 and plain == metric:
            low, high = np.where(finite, values.min(0), np.nan), np.where(finite, values.max(0), np.nan)
            panel.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        seen += mean[finite].tolist()
    if entry.diverged_at is not None:
        panel.axvline(entry.diverged_at, color=style.GREY, linestyle="-.", label="no longer finite")
    return seen


def _best(entry: Entry, losses: NDArray[np.float64]) -> int:
    """Return the epoch, from 0, of the best mean objective over the replicates, where the mean loss is finite."""
    assert entry.curves is not None
    if entry.aim.is_loss:
        return int(np.nanargmin(losses))
    values = entry.aim.loss(entry.curves.mean(entry.aim.name))
    usable = np.where(np.isfinite(losses) & np.isfinite(values), values, np.inf)
    return int(usable.argmin())
