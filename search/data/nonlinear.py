"""The nonlinear maps that may follow the affine part of a scaling, feature by feature.

    smooth clip      y = x / sqrt(1 + (x / 3)^2), which is x near 0 and never leaves [-3, 3]
    normal scores    y = Phi^-1(p(x)), where p is the share of the training rows below x, by linear interpolation
                     between their quantiles, and Phi^-1 is the quantile function of the normal distribution

Sources: the smooth clip of RealMLP: Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted trees on
tabular data" (NeurIPS 2024); scikit-learn's ``QuantileTransformer(output_distribution="normal")``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLIP = 3.0
"""The bound of the smooth clip."""
LARGEST = 1e18
"""Numbers beyond this are taken as this: float32 could not hold their square, and their smooth clip is 3 anyway."""
LEAST = 1e-7
"""The smallest share; the largest is 1 - `LEAST`. So normal scores lie within 5.2 of 0, as in scikit-learn."""
# More rows at once would need gigabytes for wide tables.
_AT_ONCE = 65_536


@dataclass(frozen=True, eq=False)
class SmoothClip:
    """The smooth clip, ``x / sqrt(1 + (x / 3)^2)``."""

    def apply(self, x: Tensor) -> Tensor:
        """Return the clipped features, ``... x features``."""
        return smooth_clip(x)

    def invert(self, y: Tensor) -> Tensor:
        """Return what `apply` clips to y, ``... x features``; numbers beyond thousands are lost to rounding."""
        bound = CLIP * (1 - torch.finfo(torch.float32).eps)
        clipped = y.double().clamp(-bound, bound)
        return (clipped / (1 - (clipped / CLIP).square()).sqrt()).to(y.dtype)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """No tensors: the map is the same for every feature."""
        return {}


@dataclass(frozen=True, eq=False)
class NormalScores:
    """The normal scores of the features; a feature whose quantiles are all equal stays as it is.

    Attributes:
        quantiles: the quantiles of each feature in the training rows at equal distances, from the minimum to the
            maximum, ``quantiles x features`` float32.
    """

    quantiles: Tensor

    def apply(self, x: Tensor) -> Tensor:
        """Return the normal scores of features ``rows x features``, between -5.2 and 5.2."""
        return torch.cat([normal_scores(part, self.quantiles) for part in torch.split(x, _AT_ONCE)])

    def invert(self, y: Tensor) -> Tensor:
        """Return the features ``rows x features`` of normal scores; beyond the training rows, their range's end."""
        last = len(self.quantiles) - 1
        knots = self.quantiles.double()
        place = torch.special.ndtr(y.double()) * last
        lower = place.floor().long().clamp(0, last - 1)
        low, high = knots.gather(0, lower), knots.gather(0, lower + 1)
        features = (low + (place - lower) * (high - low)).to(y.dtype)
        return torch.where(self.quantiles[0] < self.quantiles[-1], features, y)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The quantiles, by the name that they have in a model file."""
        return {"quantiles": self.quantiles}


Nonlinear = SmoothClip | NormalScores
"""A nonlinear map of features."""


def smooth_clip(x: Tensor) -> Tensor:
    """Return ``x / sqrt(1 + (x / 3)^2)``, of any shape."""
    x = x.clamp(-LARGEST, LARGEST)
    return x / (1 + (x / CLIP).square()).sqrt()


def normal_scores(x: Tensor, quantiles: Tensor) -> Tensor:
    """Return the normal scores of features, ``rows x features``, computed in float64.

    A value that several quantiles equal has the middle of their shares, as in scikit-learn. The minimum has share 0
    and the maximum share 1, however many rows have them.

    Args:
        x: the features, ``rows x features``.
        quantiles: as in `NormalScores`.
    """
    last = len(quantiles) - 1
    knots, rows = quantiles.double().T.contiguous(), x.double().T.contiguous()
    below, up_to = torch.searchsorted(knots, rows), torch.searchsorted(knots, rows, right=True)
    lower = (below - 1).clamp(0, last)
    low, high = knots.gather(1, lower), knots.gather(1, below.clamp(max=last))
    places = torch.where(below < up_to, (below + up_to - 1) / 2, lower + (rows - low) / (high - low))
    shares = torch.where(rows <= knots[:, :1], 0.0, torch.where(rows >= knots[:, -1:], 1.0, places / last))
    scores = torch.special.ndtri(shares.clamp(LEAST, 1 - LEAST)).T.to(x.dtype)
    return torch.where(quantiles[0] < quantiles[-1], scores, x)
