"""The band of a figure: the strengths of a hyperparameter that cannot be told from the best, as a study has decided."""

from __future__ import annotations

from matplotlib.axes import Axes
from optuna.distributions import CategoricalDistribution

from search.report.record import Record
from search.show import figure_style as style

LABEL = "cannot be told from the best"


def spans(record: Record, name: str) -> list[tuple[float, float]]:
    """Return the ends of each part of the band on the axis of a hyperparameter.

    The choices of a categorical one lie at 0, 1, ..., and each of them takes the space from half a step below to half
    a step above.
    """
    strengths = [] if record.decision is None else record.decision.strengths
    one = next((one for one in strengths if one.name == name), None)
    searched = record.searched[name]
    if one is None:
        return []
    if not isinstance(searched, CategoricalDistribution):
        return [(one.low, one.high)]
    # A hyperparameter with a direction has numbers for choices.
    inside = [isinstance(choice, int | float) and one.low <= choice <= one.high for choice in searched.choices]
    return [(place - 0.5, place + 0.5) for place, within in enumerate(inside) if within]


def draw(panel: Axes, record: Record, name: str) -> None:
    """Shade the band in a panel whose horizontal axis is a hyperparameter."""
    for low, high in spans(record, name):
        panel.axvspan(low, high, label=LABEL, **style.BAND)


def caption(record: Record) -> str:
    """Return the sentence of a caption that says what is shaded; "" if nothing is."""
    if not any(spans(record, name) for name in record.searched):
        return ""
    return f" The strengths that {LABEL} are shaded."
