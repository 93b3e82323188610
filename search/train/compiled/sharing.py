"""Slots that several threads share: large minibatches of large networks, of which one slot fills the cores."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
from torch import Tensor

from search.train.compiled import kernels
from search.train.compiled.optimisers import Array
from search.train.compiled.plan import Gates, Places
from search.train.compiled.rooms import Room
from search.train.crew import together


class SharedSlots:
    """Learns slot by slot, each one in several threads: first by rows, then by parts of the gradients.

    Args:
        plan: the network as kernels take it (`plan_of`).
        theta: the weights of all slots, one after the other.
        gradient: a buffer of the same size for their gradient.
        slots: the number of slots.
        outputs: the number of outputs without padding.
        loss: the code of the loss function.
        like: a tensor with the type of the weights.
    """

    def __init__(
        self, plan: Places, theta: Array, gradient: Array, slots: int, outputs: int, loss: int, like: Tensor
    ) -> None:
        self._plan, self._theta, self._gradient = plan, theta, gradient
        self._slots, self._outputs, self._loss, self._like = slots, outputs, loss, like
        self._rooms: list[Room] = []

    def learn(
        self,
        inputs: tuple[Array, Places],
        targets: tuple[Array, Places, Array],
        rows: int,
        total: Array,
        gates: Gates,
        threads: int,
    ) -> None:
        """Write the gradient of every slot's mean loss, and add the sums of the losses to `total`, ``(slots,)``.

        Args:
            inputs: the minibatches, whose gates have been applied, and where each slot's begins.
            targets: the targets, where each slot's begin, and their weights.
            rows: the number of rows of a minibatch.
            total: float64 ``(slots,)``.
            gates: the gates of activations, of one step.
            threads: the number of threads.
        """
        plan, size, (x, x_at), (y, y_at, weights) = self._plan, len(self._theta) // self._slots, inputs, targets
        while len(self._rooms) < threads:
            self._rooms.append(Room(plan, self._like))
        shared, losses = self._rooms[0].for_rows(rows), np.zeros(rows)
        edges = list(pairwise(rows * part // threads for part in range(threads + 1)))
        parts = list(zip(range(threads), edges, self._rooms, strict=False))
        for slot in range(self._slots):
            at, here = slot * size, [each[0, slot] for each in gates[1:]]

            def learn_rows(
                _part: int, edge: tuple[int, int], room: Room, slot: int = slot, at: int = at, here: list[Array] = here
            ) -> None:
                kernels.learn_rows(
                    plan, self._theta, at, x, x_at[slot], y, y_at[slot], weights, rows, self._outputs, self._loss,
                    shared.kept, shared.delta, *edge, room.turned, room.panel, room.zeros, losses, gates.noise, *here,
                )  # fmt: skip

            def learn_part(part: int, _edge: tuple[int, int], room: Room, slot: int = slot, at: int = at) -> None:
                kernels.learn_part(
                    plan, self._gradient, at, x, x_at[slot], rows, shared.kept, shared.delta, part, threads,
                    room.panel, room.zeros,
                )  # fmt: skip

            together([partial(learn_rows, *each) for each in parts])
            together([partial(learn_part, *each) for each in parts])
            kernels.add_up(losses, total, slot)
