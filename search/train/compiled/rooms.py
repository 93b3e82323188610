"""The memory of one thread that trains slots in kernels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from search.train.compiled import kernels, layers, products


class Room:
    """The memory of one thread: it is written and read within one call of a kernel, or of a few."""

    def __init__(self, plan: NDArray[np.int64], like: Tensor) -> None:
        self._plan, self._rows = plan, 0
        self._type = like.numpy().dtype
        inputs, outputs = plan[layers.INPUTS], plan[layers.OUTPUTS]
        self.kept = self.delta = np.zeros(0, self._type)
        self.turned = np.zeros(int((inputs * outputs).sum()), self._type)
        self.zeros = np.zeros(int(max(inputs.max(), outputs.max())), self._type)
        self.gated = np.zeros(kernels.BLOCK * int(inputs[0]), self._type)
        self.panel = np.zeros(products.panel_size(), self._type)

    def for_rows(self, rows: int) -> Room:
        """Return this room with space for the activations of so many rows, at least a block's."""
        if rows > self._rows:
            self._rows = max(rows, kernels.BLOCK)
            plan = self._plan
            kept = plan[layers.OUTPUTS] * (1 + plan[layers.APART])
            self.kept = np.zeros(self._rows * int(kept.sum()), self._type)
            self.delta = np.zeros(self._rows * int(plan[layers.OUTPUTS].sum()), self._type)
        return self
