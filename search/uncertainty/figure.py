"""The figure of a regression on one input: points, the mean of the Monte Carlo passes, and their 95% bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.errors import RequestError
from search.uncertainty.calibration import NORMAL_95, Floats
from search.uncertainty.networks import Network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from search.study.study import BaseStudy

NEEDS = "figure: needs a regression of one target on one input, such as line or polynomial"


def validate_figure_data(study: BaseStudy) -> None:
    """Refuse a study on data for which there is no such figure.

    Raises:
        RequestError: the data have classes, or more than one input or target.
    """
    data = study.data
    if data.task != "regression" or data.features > 1 or data.outputs > 1:
        raise RequestError(f"{NEEDS}, got {data.name}")


def draw_bands(
    networks: Sequence[Network], grid: Floats, points: Floats, targets: Floats, passes: int, title: str
) -> Figure:
    """Draw a panel for each activation, all on one scale.

    Outside the range of the data, the width of the band shows whether the network is less certain there.

    Args:
        networks: the networks, each with a `curve` over the grid.
        grid: the inputs of the curves, ``(points,)``.
        points: the inputs of the validation rows, ``(rows,)``.
        targets: their targets, ``(rows,)``.
        passes: the number of Monte Carlo passes.
        title: the title of the figure.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1 + 5 * len(networks), 4), layout="constrained")
    panels = figure.subplots(1, len(networks), sharex=True, sharey=True, squeeze=False)[0]
    for panel, network in zip(panels, networks, strict=True):
        curve = network.curve
        assert curve is not None
        assert network.noise is not None
        mean, deviation = curve.mean[:, 0], curve.deviation[:, 0]
        with_noise = np.sqrt(np.square(deviation) + np.square(network.noise[0]))
        for spread, shade, label in ((with_noise, 0.15, "with observation noise"), (deviation, 0.35, "of the passes")):
            low, high = mean - NORMAL_95 * spread, mean + NORMAL_95 * spread
            panel.fill_between(grid, low, high, color="C0", alpha=shade, linewidth=0, label=f"95%, {label}")
        panel.plot(grid, mean, color="C0", label=f"mean of {passes} passes")
        panel.plot(points, targets, "k.", markersize=3, label="validation rows")
        panel.set(title=network.activation, xlabel="input")
    panels[0].set_ylabel("target")
    panels[0].legend(fontsize="small")
    # Matplotlib would read a dollar sign as the start of a formula.
    figure.suptitle(title.replace("$", r"\$"))
    return figure
