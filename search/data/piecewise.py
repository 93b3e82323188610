"""The piecewise-linear encoding of features, which may follow their scaling: a feature becomes a number for each bin.

    e_t = (x - b_{t-1}) / (b_t - b_{t-1}), at least 0 (but for the first bin) and at most 1 (but for the last one)

b_0 < ... < b_T are the edges of the feature's bins. So a number beyond the outer edges is continued linearly.

Source: Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning" (NeurIPS 2022),
equation 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor


class Bins(NamedTuple):
    """The bins of all features, one after the other, ``(bins,)`` each.

    Attributes:
        source: the number of the bin's feature.
        low: its lower edge.
        width: its upper edge less its lower one.
        floor: the least number of the encoding: 0, or minus infinity in a feature's first bin.
        ceiling: the largest one: 1, or infinity in a feature's last bin.
    """

    source: Tensor
    low: Tensor
    width: Tensor
    floor: Tensor
    ceiling: Tensor


@dataclass(frozen=True, eq=False)
class PiecewiseLinear:
    """The piecewise-linear encoding of features; one with a single bin, from 0 to 1, stays as it is.

    Attributes:
        edges: the edges of each feature's bins, in order, ``features x edges`` float32. A feature with fewer bins than
            others repeats its last edge, and a bin without width is none.
    """

    edges: Tensor

    @classmethod
    def of(cls, edges: Sequence[Tensor]) -> PiecewiseLinear:
        """Return the encoding with these edges of each feature; with fewer than three, a feature stays as it is."""
        whole = [one.float() if len(one) > 2 else torch.tensor([0.0, 1.0]) for one in edges]
        most = max(map(len, whole))
        return cls(torch.stack([torch.cat([one, one[-1:].expand(most - len(one))]) for one in whole]))

    @property
    def width(self) -> int:
        """The number of all bins, which is that of the encoded features."""
        return len(self.bins.source)

    @property
    def encoded(self) -> int:
        """The number of features that do not stay as they are."""
        return int((self.bins.source.bincount() > 1).sum())

    @cached_property
    def bins(self) -> Bins:
        """The bins of all features."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        real = high > low
        floor = torch.where(low > self.edges[:, :1], 0.0, -math.inf)
        ceiling = torch.where(high < self.edges[:, -1:], 1.0, math.inf)
        return Bins(real.nonzero()[:, 0], low[real], (high - low)[real], floor[real], ceiling[real])

    def apply(self, x: Tensor) -> Tensor:
        """Return the encoded features ``rows x bins`` of scaled ones, ``rows x features``, on any device."""
        source, low, width, floor, ceiling = (one.to(x.device) for one in self.bins)
        return x.index_select(1, source).sub_(low).div_(width).clamp_(floor, ceiling)

    def invert(self, encoded: Tensor) -> Tensor:
        """Return the features ``rows x features`` that `apply` encodes to this, ``rows x bins``, up to rounding."""
        source, _, width, _, _ = (one.to(encoded.device) for one in self.bins)
        first = self.edges[:, 0].to(encoded.device).double().expand(len(encoded), -1)
        return first.index_add(1, source, encoded.double() * width).to(encoded.dtype)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The edges, by the name that they have in a model file."""
        return {"edges": self.edges}
