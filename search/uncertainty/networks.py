"""The predictions of Monte Carlo passes through the networks of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.uncertainty.calibration import Floats


@dataclass(frozen=True)
class Spread:
    """The predictions of one network for some rows, in the user's units; for classes, as probabilities.

    Attributes:
        point: the prediction without noise, ``rows x outputs``.
        mean: the mean of the passes, ``rows x outputs``.
        deviation: the standard deviation of the passes, ``rows x outputs``.
    """

    point: Floats
    mean: Floats
    deviation: Floats


@dataclass(frozen=True)
class Network:
    """The networks of a trial's replicates, trained with one activation.

    Attributes:
        activation: the activation.
        value: the validation loss at the best epoch, mean over replicates.
        noise: the standard deviation of the residuals of the training rows, ``(outputs,)``; None for classes.
        spread: the predictions for the validation rows, one for each replicate.
        curve: the predictions of the first replicate for inputs over a range (`Uncertainty.grid`); None if there is
            more than one input.
        figures: the measures by name, means over replicates; for "network", the prediction without noise, and for
            "monte_carlo", the mean of the passes.
    """

    activation: str
    value: float
    noise: Floats | None
    spread: Sequence[Spread]
    curve: Spread | None
    figures: Mapping[str, Mapping[str, float]]
