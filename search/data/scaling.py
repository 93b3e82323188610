"""The scaling of features and targets, fitted on the training rows only, so that no other row leaks into it.

    x = (raw - shift) / scale, and then a nonlinear map for some scalings (`search.data.nonlinear`)

A piecewise-linear encoding (`search.data.piecewise`) may follow, which a trial chooses.

Sums are exact and rounded once (`math.fsum`, or integer counts for pixels), so they do not depend on the order in which
a machine adds. The same file gives the same float32 numbers, and so the same fingerprint, on every CPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search.data.nonlinear import Nonlinear, NormalScores, SmoothClip
from search.data.piecewise import PiecewiseLinear
from search.errors import unknown

SCALES = ("standard", "unit", "robust", "quantile", "none")
FOR_NUMBERS = ("robust", "quantile")
"""The scalings that pixels cannot have: techniques that change images take the affine map back."""
# Below the smallest normal float32 a quotient is noise or infinite, so a feature counts as constant.
_LEAST_SPREAD = torch.finfo(torch.float32).tiny


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map for each feature, which a nonlinear one and an encoding may follow.

    Attributes:
        shift: the number that is subtracted, ``(features,)`` float32, in the units of the raw data.
        scale: the number that is divided by, ``(features,)`` float32, in the same units, never 0. It is infinite for a
            feature that is always 0.
        nonlinear: the nonlinear map; None for an affine scaling.
        encoding: the piecewise-linear encoding, which has more features; None for none.
    """

    shift: Tensor
    scale: Tensor
    nonlinear: Nonlinear | None = None
    encoding: PiecewiseLinear | None = None

    def apply(self, raw: Tensor) -> Tensor:
        """Return the scaled features of raw ``rows x features``, float32 or uint8; an affine map makes one copy."""
        x = (raw - self.shift).div_(self.scale)
        x = x if self.nonlinear is None else self.nonlinear.apply(x)
        return x if self.encoding is None else self.encoding.apply(x)

    def invert(self, scaled: Tensor) -> Tensor:
        """Return what `apply` scales to this, up to rounding; a nonlinear map loses how far off an outlier is."""
        x = scaled if self.encoding is None else self.encoding.invert(scaled)
        x = x if self.nonlinear is None else self.nonlinear.invert(x)
        return (x * self.scale.masked_fill(self.scale.isinf(), 0.0)).add_(self.shift)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The numbers of the map by the names that they have in a model file, after ``inputs.`` or ``targets.``."""
        maps = [one.tensors for one in (self.nonlinear, self.encoding) if one is not None]
        return {"shift": self.shift, "scale": self.scale} | {name: one for each in maps for name, one in each.items()}

    def equals(self, other: Scaling) -> bool:
        """Return whether both are the same map."""
        mine, theirs = self.tensors, other.tensors
        same_kind = type(self.nonlinear) is type(other.nonlinear) and mine.keys() == theirs.keys()
        return same_kind and all(torch.equal(mine[name], theirs[name]) for name in mine)


def fit(scale: str, train: Tensor, pixel_max: int | None = None, channels: int | None = None) -> Scaling:
    """Fit the scaling called `scale` on training rows ``rows x features``.

    standard  mean 0 and population SD 1 of each feature, or of each channel if `channels` is given
    unit      division by `pixel_max` for pixels; otherwise each feature's training minimum to 0 and maximum to 1
    robust    each feature's median to 0, divided by its interquartile range; if that is 0, by half of its whole range;
              then the smooth clip
    quantile  the normal scores of each feature, from `quantile_count` quantiles; a feature of two values is 0 and 1
    none      shift 0, scale 1

    A feature that is constant in the training rows has scale 1, and is always 0 by robust and quantile.

    Raises:
        RequestError: `scale` is not one of these names.
    """
    features = train.shape[1]
    match scale:
        case "standard" if channels is not None:
            return _per_channel(train, channels)
        case "standard":
            return _standard(train)
        case "unit" if pixel_max is not None:
            return Scaling(torch.zeros(features), torch.full((features,), float(pixel_max)))
        case "unit":
            low, high = train.amin(dim=0), train.amax(dim=0)
            return _scaling(low.tolist(), (high.double() - low.double()).tolist())
        case "robust":
            return _robust(train)
        case "quantile":
            return _quantile(train)
        case "none":
            return Scaling(torch.zeros(features), torch.ones(features))
        case _:
            raise unknown("scale", scale, SCALES)


def quantile_count(rows: int) -> int:
    """Return the number of quantiles for these training rows: one for each 30 rows, at least 10 and at most 1,000.

    No more than rows, but at least 2. Source: Gorishniy et al., "Revisiting deep learning models for tabular data"
    (NeurIPS 2021), appendix on preprocessing.
    """
    return max(2, min(rows, 1000, max(10, rows // 30)))


def notes(place: str, inputs: Scaling, rows: int) -> tuple[str, ...]:
    """Return what a scaling of inputs that was fitted on so many rows has decided, a line each.

    Args:
        place: the name of the data set.
        inputs: the scaling.
        rows: the number of training rows.
    """
    if not isinstance(inputs.nonlinear, NormalScores):
        return ()
    count = len(inputs.nonlinear.quantiles)
    line = f"{place}: scale quantile takes {count:,} quantiles of {rows:,} training rows"
    return (f"{line}; an input of two values becomes 0 and 1, and --scale robust scales it like any other",)


def _standard(train: Tensor) -> Scaling:
    rows = train.shape[0]
    means, deviations = [], []
    for column in train.double().T:
        # This is exact for a constant feature: float64 adds n equal float32 numbers without rounding. Its SD is then 0.
        mean = math.fsum(column.tolist()) / rows
        means.append(mean)
        deviations.append(math.sqrt(math.fsum((column - mean).square().tolist()) / rows))
    return _scaling(means, deviations)


def _per_channel(train: Tensor, channels: int) -> Scaling:
    rows, features = train.shape
    pixels = features // channels
    means, deviations = [], []
    for channel in train.view(rows, channels, pixels).unbind(dim=1):
        # 256 integer counts hold all about a channel, exactly and without a float copy of it.
        counts = torch.bincount(channel.reshape(-1), minlength=256).tolist()
        total = rows * pixels
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means += [first / total] * pixels
        deviations += [math.sqrt(second * total - first * first) / total] * pixels
    return _scaling(means, deviations)


def _robust(train: Tensor) -> Scaling:
    medians, spreads = [], []
    for column in train.T:
        low, lower, median, upper, high = np.quantile(column.double().numpy(), [0, 0.25, 0.5, 0.75, 1]).tolist()
        medians.append(median)
        spreads.append(upper - lower if upper - lower >= _LEAST_SPREAD else (high - low) / 2)
    return _scaling(medians, spreads, constant=math.inf, nonlinear=SmoothClip())


def _quantile(train: Tensor) -> Scaling:
    shares = np.linspace(0, 1, quantile_count(len(train)))
    shift, spreads, quantiles = [], [], []
    for column in train.T:
        values = column.double().numpy()
        low, high = float(values.min()), float(values.max())
        # Scores would take the two values of an indicator, such as "town = Bern", to the ends, -5.2 and 5.2.
        if ((values == low) | (values == high)).all():
            shift.append(low)
            spreads.append(high - low)
            quantiles.append(np.zeros(len(shares)))
        else:
            shift.append(0.0)
            spreads.append(1.0)
            # Interpolation may round such that a quantile is less than the one before.
            quantiles.append(np.maximum.accumulate(np.quantile(values, shares)))
    knots = torch.from_numpy(np.stack(quantiles, axis=1)).float()
    return _scaling(shift, spreads, constant=math.inf, nonlinear=NormalScores(knots))


def _scaling(
    shift: Sequence[float], scale: Sequence[float], constant: float = 1.0, nonlinear: Nonlinear | None = None
) -> Scaling:
    scales = torch.tensor(scale, dtype=torch.float32)
    scales[scales < _LEAST_SPREAD] = constant
    return Scaling(torch.tensor(shift, dtype=torch.float32), scales, nonlinear)
