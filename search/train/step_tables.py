"""What differs from step to step of an epoch, as tables on the device, which a step reads at a clock of its own.

    the host fills before the steps:   order of rows, keys of draws, rates, hyperparameters, shares of averages
    a step reads:                      table[clock], and advances the clock

So every step is the same work on the same memory, and a GPU can replay it without the host (`search.train.graphs`).
The numbers are those that the host would compute step by step, because the names of draws are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import torch
from torch import Tensor

Row = Tensor | Sequence[int]
"""What holds for one step: numbers on the device, or integers of 64 bits."""


class StepTables:
    """The tables of a pack.

    Args:
        device: the device of the pack.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._clock = torch.zeros(1, dtype=torch.int64, device=device)
        self._order = torch.zeros(0, 0, dtype=torch.int64, device=device)
        self._places: dict[int, Tensor] = {}
        self._steps = 0
        self._tables: dict[Hashable, tuple[Callable[[int], Row], Tensor]] = {}

    def begin(self, orders: Sequence[Tensor], steps: int) -> None:
        """Begin an epoch: fill every table that is known anew, in its place.

        Args:
            orders: the order of the training rows for each group, ``(rows,)`` each.
            steps: the number of steps of the epoch; it is the same in every epoch.
        """
        order = torch.stack(list(orders))
        if self._order.shape == order.shape:
            self._order.copy_(order)
        else:
            self._order = order
        self._steps = steps
        self._clock.zero_()
        for row, table in self._tables.values():
            table.copy_(self._made(row))

    def advance(self) -> None:
        """Go on to the next step."""
        self._clock.add_(1)

    def rows(self, count: int, size: int) -> Tensor:
        """Return the training rows of this step, ``groups x count``.

        Args:
            count: the number of rows of this step.
            size: the number of rows of every step before it.
        """
        if count not in self._places:
            self._places[count] = torch.arange(count, device=self._device)
        return self._order.index_select(1, self._places[count] + self._clock * size)

    def read(self, name: Hashable, row: Callable[[int], Row]) -> Tensor:
        """Return what a table has for this step.

        Args:
            name: the name of the table.
            row: the function that returns what holds for a step of the present epoch. It is called for each step, when
                the name is read for the first time, and as each later epoch begins.
        """
        if name not in self._tables:
            self._tables[name] = row, self._made(row)
        return self._tables[name][1].index_select(0, self._clock)[0]

    def _made(self, row: Callable[[int], Row]) -> Tensor:
        rows = [row(step) for step in range(self._steps)]
        if isinstance(rows[0], Tensor):
            return torch.stack(rows)  # type: ignore[arg-type]
        # One copy to the device for all steps; two's complement, because torch has no unsigned integers of 64 bits.
        table = torch.from_numpy(np.array(rows, np.uint64).view(np.int64))
        if self._device.type != "cuda":
            return table.to(self._device)
        # From other memory, the host would wait until the device has done all that was asked of it before.
        return table.pin_memory().to(self._device, non_blocking=True)
