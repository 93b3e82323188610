"""The weights of networks that share those of a slot, in compiled kernels (`search.train.members`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.train.compiled import member_kernels
from search.train.compiled.optimisers import flat

if TYPE_CHECKING:
    from search.train.member_buffers import Buffers


class CompiledWeights:
    """The weights of the networks of a pack, and their gradients; the methods are those of `TorchWeights`."""

    def __init__(self, buffers: Buffers) -> None:
        layout, plain, theta, gradient, weights, slopes = buffers
        columns = []
        for number in range(len(layout.linears)):
            own = (
                layout.weight(number),
                layout.bias(number),
                *layout.scales(number),
                plain.weight(number),
                plain.bias(number),
            )
            columns.append([*own[0].stored, *(field.offset for field in own)])
        self._table = np.array(columns, np.int64).T.copy()
        self._theta, self._gradient, self._size = flat(theta), flat(gradient), layout.size
        self._weights, self._slopes, self._plain_size = flat(weights), flat(slopes), plain.size
        self._members = layout.members

    def spread(self) -> None:
        """Write the weights of each network."""
        member_kernels.spread(self._table, self._theta, self._size, self._weights, self._plain_size, self._members)

    def fold(self) -> None:
        """Write the gradient of what the networks share and of what is their own."""
        member_kernels.fold(
            self._table, self._theta, self._gradient, self._size, self._slopes, self._plain_size, self._members
        )
