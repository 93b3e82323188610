"""What regularisation does to the weights: the best network's beside the least regularised one's."""

from __future__ import annotations

import numpy as np

from search.report import style
from search.report.networks import Networks
from search.report.record import Record
from search.report.strength import strengths, weakest

_BINS = 121
_ZERO = 1e-6


def draw(record: Record, networks: Networks) -> style.Shown:
    """Histograms on a logarithmic axis: a penalty that makes weights exactly zero shows as a peak there."""
    told = [(what, entry, weights) for what, entry, weights in networks.weights if np.isfinite(weights).all()]
    if not told:
        return style.Shown(None, "The best trial diverges when it is trained again.")
    figure, panels = style.canvas(1, 1, (7.4, 3.6))
    panel = panels[0, 0]
    edge = max(float(np.quantile(np.abs(weights), 0.999)) for _, _, weights in told) or 1.0
    # An odd number of bins: zero is in the middle of one.
    bins = np.linspace(-edge, edge, _BINS + 1)
    looks = {"best": (style.BLUE, "-", 0.35), "least regularised": (style.VERMILLION, "--", 0.0)}
    beyond = 0.0
    for what, entry, weights in told:
        colour, line, fill = looks[what]
        counts, _ = np.histogram(weights, bins)
        beyond = max(beyond, float((np.abs(weights) > edge).mean()))
        zero = float((np.abs(weights) < _ZERO).mean())
        names = strengths(record) or record.searched
        label = style.text(
            f"{what}, trial {entry.number} ({style.settings(entry, names)}): SD {weights.std():.3g}, zero {zero:.1%}",
            120,
        )
        panel.stairs(counts, bins, color=colour, linestyle=line, linewidth=1.6, label=label)
        if fill:
            panel.stairs(counts, bins, color=colour, fill=True, alpha=fill)
    panel.set_yscale("log")
    panel.set_ylim(0.7)
    panel.set(xlabel="weight", ylabel="weights per bin")
    style.legend(figure, [panel], columns=1)
    caption = "Weights of all linear layers, biases left out, at the best epoch of the first replicate;"
    caption += f" zero: |w| < 1e-6. Beyond the axis: at most {beyond:.1%}."
    if len(told) == 1:
        caption += f" {_why_one(record, told[0][0])}"
    return style.Shown(figure, caption)


def _why_one(record: Record, shown: str) -> str:
    """Why there is one network where there might be two."""
    if not strengths(record):
        return "Nothing that was searched has a direction of stronger regularisation: the best trial is shown alone."
    if shown != "best":
        return "The best trial's first replicate diverges when it is trained again: it is not shown."
    least = weakest(record)
    if least is record.best:
        return "The best trial is itself the least regularised of the complete ones."
    return f"The least regularised trial, {least.number}, diverges when it is trained again: it is not shown."
