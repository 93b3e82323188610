"""The effect of regularisation on weights: those of the best network and of the least regularised one."""

from __future__ import annotations

import numpy as np

from search.report import drawing
from search.report.drawing import CaptionedFigure
from search.report.networks import Networks
from search.report.record import Record
from search.report.strength import strengths, weakest
from search.show import figure_style as style

_BINS = 121
_ZERO = 1e-6


def draw(record: Record, networks: Networks) -> CaptionedFigure:
    """Draw histograms of weights with a logarithmic axis of counts, where weights that are exactly zero form a peak."""
    finite = [(role, entry, weights) for role, entry, weights in networks.weights if np.isfinite(weights).all()]
    if not finite:
        return CaptionedFigure(None, "The best trial diverges when it is trained again.")
    figure, panels = style.canvas(1, 1, (7.4, 3.6))
    panel = panels[0, 0]
    edge = max(float(np.quantile(np.abs(weights), 0.999)) for _, _, weights in finite) or 1.0
    # The number of bins is odd, so that zero is in the middle of one.
    bins = np.linspace(-edge, edge, _BINS + 1)
    looks = {"best": (style.BLUE, "-", 0.35), "least regularised": (style.VERMILLION, "--", 0.0)}
    beyond = 0.0
    for role, entry, weights in finite:
        colour, line, fill = looks[role]
        counts, _ = np.histogram(weights, bins)
        beyond = max(beyond, float((np.abs(weights) > edge).mean()))
        zero = float((np.abs(weights) < _ZERO).mean())
        names = strengths(record) or record.searched
        label = style.literal(
            f"{role}, trial {entry.number} ({drawing.settings(entry, names)}): SD {weights.std():.3g}, zero {zero:.1%}",
            120,
        )
        panel.stairs(counts, bins, color=colour, linestyle=line, linewidth=1.6, label=label)
        if fill:
            panel.stairs(counts, bins, color=colour, fill=True, alpha=fill)
    panel.set_yscale("log")
    panel.set_ylim(0.7)
    panel.set(xlabel="weight", ylabel="weights per bin")
    style.legend(figure, [panel], columns=1)
    caption = "The weights are those of all linear layers, without biases, at the best epoch of the first replicate."
    caption += f" A weight counts as zero if |w| < 1e-6. At most {beyond:.1%} of the weights lie beyond the axis."
    if len(finite) == 1:
        caption += f" {_why_one(record, finite[0][0])}"
    return CaptionedFigure(figure, caption)


def _why_one(record: Record, role: str) -> str:
    """Say why there is one network instead of two."""
    if not strengths(record):
        return "Only the best trial is shown: no searched hyperparameter has a direction of stronger regularisation."
    if role != "best":
        return "The best trial is not shown, because its first replicate diverges when it is trained again."
    least = weakest(record)
    if least is record.best:
        return "The best trial is itself the least regularised complete trial."
    return f"Trial {least.number}, the least regularised, is not shown, because it diverges when it is trained again."
