"""Training and validation curves, with and without penalty: a network that overfits, one that fits, one that cannot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.report import style
from search.report.record import Entry, Record
from search.report.strength import by_strength, strength, strengths, weakest

_LINES = (
    ("train_loss", "training", style.BLUE, "-", "", 1.3),
    ("train_objective", "training with penalty", style.BLUE, "--", "", 1.2),
    ("val_loss", "validation", style.VERMILLION, "-", "o", 2.4),
    ("val_objective", "validation with penalty", style.VERMILLION, ":", "", 1.8),
)

_MEASURED = "Training loss is the mean over the epoch's minibatches as they were trained, with the noise of that."


def draw(record: Record) -> style.Shown:
    """The weakest, the best and the strongest regularised complete trial, and the strongest of the pruned."""
    told, how = _chosen(record)
    figure = _panels(record, told)
    mean = "Mean over replicates; validation" if record.replicates > 1 else "Validation"
    caption = f"{mean} is marked where it is lowest. {_MEASURED} {how}"
    if record.replicates > 1:
        caption += f" Bands: from the lowest to the highest of {record.replicates} replicates, without penalty."
    return style.Shown(figure, caption)


def _chosen(record: Record) -> tuple[dict[str, Entry], str]:
    """The trials to show by what each of them is, and how they were chosen."""
    best, names = record.best, strengths(record)
    told = {"best": best}
    order = by_strength(record, record.complete)
    least, most = weakest(record), order[-1]
    if not names or strength(record, order[0]) == strength(record, most):
        told["worst complete"] = record.complete[-1]
        if not names:
            return told, "Nothing that was searched has a direction of stronger regularisation."
        return told, "All complete trials are regularised as strongly."
    if least is best:
        told = {"best, and weakest complete": best}
    elif most is best:
        told = {"weakest complete": least, "best, and strongest complete": best}
    else:
        told = {"weakest complete": least, "best": best}
    if most is not best:
        told["strongest complete"] = most
    last = by_strength(record, [*record.pruned, most])[-1]
    if last.state == "pruned" and strength(record, last) > strength(record, most):
        told[f"strongest, pruned at epoch {last.epochs}"] = last
    how = "the place in its range" if len(names) == 1 else "the mean place in their ranges"
    return told, f"Weakest and strongest: by {how} of {', '.join(names)}."


def draw_noise(record: Record) -> style.Shown:
    """The complete trial with the least noise (dropout) beside the best."""
    if not record.noisy:
        return style.Shown(None, "Nothing that was searched draws noise as dropout does.")
    name = record.noisy[0]
    having = style.having(record, name, record.complete)
    if not having:
        return style.Shown(None, f"No complete trial has {name}.")
    least = min(having, key=lambda entry: (float(entry.params[name]), entry.objective))
    title = f"least {name}"
    told = {title: least, "best": record.best} if least is not record.best else {"best": least}
    figure = _panels(record, told, names=record.noisy, lines=_LINES[0::2])
    caption = f"Training and validation loss of the complete trial with the least {name}, and of the best."
    if least is record.best:
        most = max(having, key=lambda entry: (float(entry.params[name]), entry.number))
        figure = _panels(record, {"best, and least": least, f"most {name}": most}, record.noisy, _LINES[0::2])
        caption = f"The best trial is the one with the least {name}; beside it the one with the most."
    return style.Shown(figure, f"{caption} {_MEASURED}")


def _panels(
    record: Record,
    told: dict[str, Entry],
    names: Sequence[str] | None = None,
    lines: Sequence[tuple[str, str, str, str, str, float]] = _LINES,
) -> Figure:
    # Two by two: four in a row would be too small to read on a page.
    rows, columns = style.grid(len(told), 2 if len(told) == 4 else 3)
    figure, panels = style.canvas(rows, columns, sharex=True, sharey=True)
    seen: list[float] = []
    for panel, (what, entry) in zip(panels.flat, told.items(), strict=True):
        seen += _curves(panel, entry, lines)
        shown = [*strengths(record), *record.searched] if names is None else names
        panel.set_title(style.heading(what, entry, dict.fromkeys(shown)), fontsize="medium")
    style.widen(panels[0, 0], seen)
    for panel in panels[:, 0]:
        panel.set_ylabel(record.loss_label)
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    if longest := max((entry.epochs for entry in told.values()), default=0):
        panels[0, 0].set_xlim(style.epochs(longest))
        panels[0, 0].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    style.legend(figure, panels.flat)
    return figure


def _curves(panel: Axes, entry: Entry, lines: Sequence[tuple[str, str, str, str, str, float]]) -> list[float]:
    """Draw a trial's curves; returns every value drawn."""
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
        # Where there is no penalty the objective is the loss.
        if plain != metric and np.allclose(values, curves.of(plain), rtol=1e-4, equal_nan=True):
            continue
        finite = np.isfinite(values).all(0)
        mean = np.where(finite, values.mean(0), np.nan)
        at = [int(np.nanargmin(mean))] if marker and finite.any() else []
        # A line of one epoch is a point: a square of training, hollow with a penalty.
        lone = ("s" if metric.startswith("train") else "o") if len(epochs) == 1 else None
        panel.plot(
            epochs, mean, color=colour, linestyle=line, linewidth=width, label=label, marker=marker or lone,
            markevery=at or None, markersize=7, markeredgecolor=style.BLACK if marker else colour,
            markerfacecolor=colour if plain == metric else "none",
        )  # fmt: skip
        if curves.replicates > 1 and plain == metric:
            low, high = np.where(finite, values.min(0), np.nan), np.where(finite, values.max(0), np.nan)
            panel.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
        seen += mean[finite].tolist()
    if entry.diverged_at is not None:
        panel.axvline(entry.diverged_at, color=style.GREY, linestyle="-.", label="no longer finite")
    return seen
