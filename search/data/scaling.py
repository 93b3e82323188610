"""The scaling of features and targets, fitted on the training rows only, so that no other row leaks into it.

    x = (raw - shift) / scale

Sums are exact and rounded once (`math.fsum`, or integer counts for pixels), so they do not depend on the order in which
a machine adds. The same file gives the same float32 numbers, and so the same fingerprint, on every CPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from search.errors import unknown

SCALES = ("standard", "unit", "none")


@dataclass(frozen=True, eq=False)
class Scaling:
    """An affine map for each feature.

    Attributes:
        shift: the number that is subtracted, ``(features,)`` float32, in the units of the raw data.
        scale: the number that is divided by, ``(features,)`` float32, in the same units, never 0.
    """

    shift: Tensor
    scale: Tensor

    def apply(self, raw: Tensor) -> Tensor:
        """Return (raw - shift) / scale for raw ``... x features``, float32 or uint8, with one float32 copy."""
        return (raw - self.shift).div_(self.scale)

    def invert(self, scaled: Tensor) -> Tensor:
        """Return scaled * scale + shift, which inverts `apply` up to rounding."""
        return (scaled * self.scale).add_(self.shift)


def fit(scale: str, train: Tensor, pixel_max: int | None = None, channels: int | None = None) -> Scaling:
    """Fit the scaling called `scale` on training rows ``rows x features``.

    standard  mean 0 and population SD 1 of each feature, or of each channel if `channels` is given
    unit      division by `pixel_max` for pixels; otherwise each feature's training minimum to 0 and maximum to 1
    none      shift 0, scale 1

    A feature that is constant in the training rows has scale 1.

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
        case "none":
            return Scaling(torch.zeros(features), torch.ones(features))
        case _:
            raise unknown("scale", scale, SCALES)


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


def _scaling(shift: list[float], scale: list[float]) -> Scaling:
    scales = torch.tensor(scale, dtype=torch.float32)
    # Below the smallest normal float32 a quotient is noise or infinite, so the feature counts as constant.
    scales[scales < torch.finfo(torch.float32).tiny] = 1.0
    return Scaling(torch.tensor(shift, dtype=torch.float32), scales)
