"""The uncertainty of a trial's predictions as a table, a figure, a data frame and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.errors import RequestError
from search.show import figure_file, html
from search.show.sheet import Sheet
from search.show.text import number, plain
from search.uncertainty.calibration import NORMAL_95, Floats
from search.uncertainty.figure import NEEDS, draw_bands
from search.uncertainty.networks import Network

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_NOTES = {
    "classification": "calibration error: the expected calibration error over 15 bins of confidence; entropy in nats; "
    "variance: the variance of the passes, averaged over classes and rows",
    "regression": "coverage: the share of validation values within mean +- 1.96 SD of the passes, which leaves out "
    "observation noise; with noise: with the variance of the training residuals added; the right value is 0.95",
}


@dataclass(frozen=True)
class Uncertainty:
    """A trial's predictions for the validation rows and how uncertain they are.

    Attributes:
        study: the name of the study.
        trial: the number of the trial.
        value: the trial's value in the study.
        activation: the activation that it had there.
        passes: the number of Monte Carlo passes.
        truth: class numbers ``(rows,)``, or values ``rows x outputs`` in the user's units.
        networks: the trial's networks with each activation.
        grid: inputs ``(points,)`` in the user's units, from half the range of the data before it to half after it;
            None if there is more than one input.
        points: the inputs of the validation rows ``(rows,)``; None if there is more than one.
    """

    study: str
    trial: int
    value: float
    activation: str
    passes: int
    truth: NDArray[Any]
    networks: Sequence[Network]
    grid: Floats | None
    points: Floats | None

    def outcome(self) -> dict[str, Any]:
        """Return what was measured, as JSON can hold it."""
        return {
            "study": self.study,
            "trial": self.trial,
            "value": self.value,
            "activation": self.activation,
            "passes": self.passes,
            "networks": [
                plain({"activation": one.activation, "value": one.value, **one.figures}) for one in self.networks
            ],
        }

    def __repr__(self) -> str:
        return f"{self.table()}" + "\n".join(self.notes())

    def _repr_html_(self) -> str:
        figure = self.figure()
        picture = "" if figure is None else html.picture(figure, "validation rows, mean of the passes and band")
        return html.block(html.table(self.table()), picture, html.lines(self.notes()))

    def table(self) -> Sheet:
        """Return a table with a row for each network and one for the mean of its passes."""
        names = list(self.networks[0].figures["monte_carlo"])
        headings = ("activation", "val_loss", "prediction", *(name.replace("_", " ") for name in names))
        rows = []
        for network in self.networks:
            for prediction, figures in network.figures.items():
                alone = prediction == "network"
                label, value = ("network", number(network.value)) if alone else ("mean of passes", "")
                rows.append((network.activation, value, label, *(number(figures.get(name)) for name in names)))
        title = f"{self.study}: trial {self.trial}, {self.passes} Monte Carlo passes over the validation rows"
        return Sheet(headings, rows, ("activation", "prediction"), title)

    def notes(self) -> list[str]:
        """Say what the study has for the trial, and what the measures mean."""
        task = "classification" if "accuracy" in self.networks[0].figures["monte_carlo"] else "regression"
        recorded = f"in the study this trial has activation {self.activation} and val_loss {self.value:.4g}"
        return [recorded, _NOTES[task]]

    def figure(self) -> Figure | None:
        """Draw points, mean and bands; None if there are classes, or more than one input or target."""
        if self.grid is None or self.points is None or self.truth.shape[1] > 1:
            return None
        title = f"{self.study}, trial {self.trial}"
        return draw_bands(self.networks, self.grid, self.points, self.truth[:, 0], self.passes, title)

    def draw(self, file: Path | str) -> None:
        """Save the figure, as PNG or SVG: `search.show.figure_file.save`.

        Raises:
            RequestError: there are classes, or more than one input or target.
        """
        figure_file.validate_figure_file(Path(file))
        if (figure := self.figure()) is None:
            raise RequestError(f"{NEEDS}, got study {self.study!r}")
        figure_file.save(figure, Path(file), [(self.study, self.trial)])

    def predictions(self) -> pd.DataFrame:
        """Return one row per activation, replicate, validation row and output: truth, mean, sd, low, high.

        The interval is mean +- 1.96 sd of the passes; it leaves out observation noise. For classes, `output` is the
        class, `truth` is 1 or 0, and the mean is the probability of the class.
        """
        import pandas as pd

        parts = []
        for network in self.networks:
            for replicate, spread in enumerate(network.spread):
                classes = np.arange(spread.mean.shape[1])
                truth = self.truth if self.truth.ndim == 2 else (self.truth[:, None] == classes).astype(np.float64)
                row, output = np.indices(spread.mean.shape).reshape(2, -1)
                half = NORMAL_95 * spread.deviation
                columns = {
                    "truth": truth,
                    "mean": spread.mean,
                    "sd": spread.deviation,
                    "low": spread.mean - half,
                    "high": spread.mean + half,
                }
                index = {"activation": network.activation, "replicate": replicate, "row": row, "output": output}
                parts.append(pd.DataFrame(index | {name: value.ravel() for name, value in columns.items()}))
        return pd.concat(parts, ignore_index=True)
