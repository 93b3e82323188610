"""Scaling of features and targets, fitted on training rows only, so that nothing of validation or test leaks in.

    x = (raw - shift) / scale

Statistics are sums rounded once (`math.fsum`, or exact integer counts for pixels), not sums in an order of the
machine's choosing: the same file gives the same float32 numbers, and so the same fingerprint, on every CPU.
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
    """An affine map per feature.

    Attributes:
        shift: (features,) float32, in the units of the raw data.
        scale: (features,) float32, in the same units, never 0.
    """

    shift: Tensor
    scale: Tensor

    def apply(self, raw: Tensor) -> Tensor:
        """(raw - shift) / scale for raw ``... x features``, float32 or uint8; makes one float32 copy."""
        return (raw - self.shift).div_(self.scale)

    def invert(self, scaled: Tensor) -> Tensor:
        """scaled * scale + shift: what `apply` was given, up to rounding."""
        return (scaled * self.scale).add_(self.shift)


def fit(scale: str, train: Tensor, pixel_max: int | None = None, channels: int | None = None) -> Scaling:
    """The scaling called `scale`, fitted on ``rows x features``.

    standard  mean 0 and population SD 1 per feature, or per channel where `channels` is given
    unit      pixels: divided by `pixel_max`; otherwise the training minimum to 0 and maximum to 1, per feature
    none      shift 0, scale 1

    A feature that is constant in the training rows keeps scale 1.

    Raises:
        RequestError: `scale` is none of these.
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
        # Exact for a constant feature: n equal float32 numbers sum without rounding in float64. So its SD is 0.
        mean = math.fsum(column.tolist()) / rows
        means.append(mean)
        deviations.append(math.sqrt(math.fsum((column - mean).square().tolist()) / rows))
    return _scaling(means, deviations)


def _per_channel(train: Tensor, channels: int) -> Scaling:
    rows, features = train.shape
    pixels = features // channels
    means, deviations = [], []
    for channel in train.view(rows, channels, pixels).unbind(dim=1):
        # 256 integer counts say all about a channel, exactly and without a float copy of it.
        counts = torch.bincount(channel.reshape(-1), minlength=256).tolist()
        total = rows * pixels
        first = sum(value * count for value, count in enumerate(counts))
        second = sum(value * value * count for value, count in enumerate(counts))
        means += [first / total] * pixels
        deviations += [math.sqrt(second * total - first * first) / total] * pixels
    return _scaling(means, deviations)


def _scaling(shift: list[float], scale: list[float]) -> Scaling:
    scales = torch.tensor(scale, dtype=torch.float32)
    # Below the smallest normal float32 a quotient is noise or infinite: as good as constant.
    scales[scales < torch.finfo(torch.float32).tiny] = 1.0
    return Scaling(torch.tensor(shift, dtype=torch.float32), scales)
