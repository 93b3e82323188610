"""The figure of a regression on one input: points, the mean of the Monte Carlo passes, and how far they spread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search.errors import RequestError
from search.show import figure_file
from search.uncertainty.calibration import NORMAL_95
from search.uncertainty.monte_carlo import Uncertainty

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from search.study.study import BaseStudy

_TAKES = "figure: takes a regression of one target on one input, such as line or polynomial"


def check(study: BaseStudy) -> None:
    """Refuse data that no such figure can show.

    Raises:
        RequestError: more than one input or target, or classes.
    """
    data = study.data
    if data.task != "regression" or data.features > 1 or data.outputs > 1:
        raise RequestError(f"{_TAKES}, got {data.name}")


def figure(found: Uncertainty) -> Figure | None:
    """One panel per activation, with one scale; outside the data the band shows what the network makes of not knowing.

    None where there is more than one input or target, or classes.
    """
    from matplotlib.figure import Figure

    if found.grid is None or found.points is None or found.truth.shape[1] > 1:
        return None
    made = Figure(figsize=(1 + 5 * len(found.networks), 4), layout="constrained")
    panels = made.subplots(1, len(found.networks), sharex=True, sharey=True, squeeze=False)[0]
    for panel, network in zip(panels, found.networks, strict=True):
        curve = network.curve
        assert curve is not None
        assert network.noise is not None
        mean, deviation = curve.mean[:, 0], curve.deviation[:, 0]
        whole = np.sqrt(np.square(deviation) + np.square(network.noise[0]))
        for spread, shade, label in ((whole, 0.15, "with noise of observations"), (deviation, 0.35, "of the passes")):
            low, high = mean - NORMAL_95 * spread, mean + NORMAL_95 * spread
            panel.fill_between(found.grid, low, high, color="C0", alpha=shade, linewidth=0, label=f"95%, {label}")
        panel.plot(found.grid, mean, color="C0", label=f"mean of {found.passes} passes")
        panel.plot(found.points, found.truth[:, 0], "k.", markersize=3, label="validation rows")
        panel.set(title=network.activation, xlabel="input")
    panels[0].set_ylabel("target")
    panels[0].legend(fontsize="small")
    # A dollar sign would begin a formula.
    made.suptitle(f"{found.study}, trial {found.trial}".replace("$", r"\$"))
    return made


def draw(found: Uncertainty, file: Path) -> None:
    """Save the figure, as PNG or SVG.

    Raises:
        RequestError: there is none of such data.
        EnvironmentFault: the file cannot be written.
    """
    made = figure(found)
    if made is None:
        raise RequestError(f"{_TAKES}, got study {found.study!r}")
    figure_file.save(made, file, [(found.study, found.trial)])
