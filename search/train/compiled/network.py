"""A pack's network in compiled kernels, and the memory that it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.technique.layout import Layout
from search.train.compiled import activations, kernels, layers, losses, products
from search.train.compiled.optimisers import Array, flat
from search.train.crew import share
from search.train.losses import LossFunction

Places = NDArray[np.int64]

_SHARED = 2**24  # rows times parameters from which several threads share a slot: a step of about a millisecond


def plan_of(layout: Layout, activation: str) -> Places:
    """Return a network as kernels take it, int64 ``8 x layers`` (`layers`)."""
    plan = np.zeros((8, layout.layers), np.int64)
    for layer in range(layout.layers):
        weight, bias = layout.weight(layer), layout.bias(layer)
        plan[layers.INPUTS, layer], plan[layers.OUTPUTS, layer] = weight.stored
        plan[layers.WEIGHT, layer], plan[layers.BIAS, layer] = weight.offset, bias.offset
        plan[layers.CODE, layer] = activations.CODES[activation if layer < layout.layers - 1 else None]
    kept = plan[layers.OUTPUTS] * np.where(plan[layers.CODE] == activations.OF_INPUT, 2, 1)
    for name, each in (
        (layers.KEPT, kept),
        (layers.DELTA, plan[layers.OUTPUTS]),
        (layers.TURNED, plan[layers.INPUTS] * plan[layers.OUTPUTS]),
    ):
        plan[name] = np.cumsum(each) - each
    return plan


class CompiledNetwork:
    """The products, activations and losses of a pack, slot by slot.

    Args:
        layout: the place of each parameter.
        activation: the name of the function after every layer but the last.
        loss: the loss function.
        outputs: the number of outputs without padding.
        theta: the weights, ``slots x layout.size``.
        gradient: a buffer of the same shape for their gradient.
        groups: the slots that share a minibatch, as consecutive slices.
    """

    def __init__(
        self,
        layout: Layout,
        activation: str,
        loss: LossFunction,
        outputs: int,
        theta: Tensor,
        gradient: Tensor,
        groups: Sequence[slice],
    ) -> None:
        self._plan = plan_of(layout, activation)
        self._theta, self._gradient, self._size = flat(theta), flat(gradient), theta.shape[1]
        self._loss, self._outputs = losses.CODES[loss], outputs
        self.slots, self.dtype = len(theta), theta.dtype
        self._width = int(self._plan[layers.OUTPUTS, -1])
        self._group_of = np.repeat(np.arange(len(groups)), [group.stop - group.start for group in groups])
        self._like = theta.new_empty(0)
        self._rooms: list[_Room] = [_Room(self._plan, self._like)]
        self._kept = np.zeros(0, self._theta.dtype)
        self._written = np.zeros(layout.layers, bool)

    def begin(self) -> None:
        """Begin a step: the first backward pass overwrites the gradient, later ones add to it."""
        self._written[:] = False

    def learn(self, x: Tensor, y: Tensor, total: Tensor) -> None:
        """Write the gradient of every slot's mean loss, and add the sums of the losses to `total`.

        Args:
            x, y: the minibatch, ``groups or slots x batch x ...``.
            total: float64 ``(slots,)``.
        """
        rows, sums = x.shape[1], flat(total)
        place = _flat_minibatch(x), self._starts(x), _flat_minibatch(y), self._starts(y)
        threads = share()
        if threads > 1 and rows * self._size >= _SHARED:
            self._learn_together(place, rows, sums, threads)
            return
        room = self._rooms[0].for_rows(kernels.BLOCK)
        kernels.learn(
            self._plan, self._theta, self._gradient, self._size, self.slots, *place, rows, self._outputs, self._loss,
            room.kept, room.delta, room.turned, room.panel, room.zeros, sums,
        )  # fmt: skip

    def _learn_together(
        self,
        place: tuple[Array, Places, Array, Places],
        rows: int,
        sums: Array,
        threads: int,
    ) -> None:
        """Learn slot by slot, each one in several threads: first by rows, then by parts of the gradients."""
        x, x_at, y, y_at = place
        while len(self._rooms) < threads:
            self._rooms.append(_Room(self._plan, self._like))
        shared, losses = self._rooms[0].for_rows(rows), np.zeros(rows)
        edges = list(pairwise(rows * part // threads for part in range(threads + 1)))
        for slot in range(self.slots):
            at = slot * self._size
            given = x, x_at[slot], y, y_at[slot], rows, self._outputs, self._loss, shared.kept, shared.delta
            together(
                [
                    partial(
                        kernels.learn_rows, self._plan, self._theta, at, *given, *edge, room.turned, room.panel,
                        room.zeros, losses,
                    )
                    for edge, room in zip(edges, self._rooms, strict=False)
                ],
            )  # fmt: skip
            parts = x, x_at[slot], rows, shared.kept, shared.delta
            together(
                [
                    partial(
                        kernels.learn_part,
                        self._plan,
                        self._gradient,
                        at,
                        *parts,
                        part,
                        threads,
                        room.panel,
                        room.zeros,
                    )
                    for part, room in zip(range(threads), self._rooms, strict=False)
                ],
            )
            kernels.add_up(losses, sums, slot)

    def forward(self, first: int, last: int, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return a stretch's activations ``slots x batch x outputs``, and what `backward` takes.

        Args:
            first, last: the stretch: the layers from `first` to before `last`.
            x: the inputs, ``groups x batch x features`` (shared within a group) or ``slots x batch x features``.
        """
        rows, kept_size = x.shape[1], self._kept_size(first, last, x.shape[1])
        out = x.new_empty(self.slots, rows, int(self._plan[layers.OUTPUTS, last - 1]))
        kept = x.new_empty(self.slots * kept_size)
        self._forward(first, last, x, kept, kept_size, out)
        return out, [kept]

    def predict(self, first: int, last: int, x: Tensor) -> Tensor:
        """Return a stretch's activations, and keep nothing."""
        rows, kept_size = x.shape[1], self._kept_size(first, last, x.shape[1])
        out = x.new_empty(self.slots, rows, int(self._plan[layers.OUTPUTS, last - 1]))
        if len(self._kept) < kept_size:
            self._kept = np.zeros(kept_size, self._theta.dtype)
        self._forward(first, last, x, torch.from_numpy(self._kept), 0, out)
        return out

    def _forward(self, first: int, last: int, x: Tensor, kept: Tensor, kept_size: int, out: Tensor) -> None:
        room = self._rooms[0]
        kernels.forward(
            self._plan, first, last, self._theta, self._size, self.slots, _flat_minibatch(x), self._starts(x),
            x.shape[1], flat(kept), kept_size, flat(out), room.panel,
        )  # fmt: skip

    def backward(
        self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor, needs_input: bool
    ) -> Tensor | None:
        """Add up a stretch's gradients from that in its activations; return that in its inputs if it is needed."""
        rows = x.shape[1]
        room = self._rooms[0].for_rows(rows)
        into = x.new_empty(self.slots, *x.shape[1:]) if needs_input else None
        kernels.backward(
            self._plan, first, last, self._theta, self._gradient, self._size, self.slots, _flat_minibatch(x),
            self._starts(x), rows, flat(kept[0]), self._kept_size(first, last, rows), flat(gradient.contiguous()),
            flat(self._like if into is None else into), bool(self._written[first]), room.delta, room.turned, room.panel,
            room.zeros,
        )  # fmt: skip
        self._written[first:last] = True
        return into

    def loss_gradient(self, predictions: Tensor, y: Tensor, total: Tensor) -> Tensor:
        """Return the gradient of every slot's mean loss in its predictions; add the sums of losses to `total`."""
        gradient = torch.empty_like(predictions)
        kernels.loss_gradient(
            flat(predictions), _flat_minibatch(y), self._starts(y), self.slots, predictions.shape[1], self._width,
            self._outputs, self._loss, flat(gradient), flat(total),
        )  # fmt: skip
        return gradient

    def measure(self, predictions: Tensor, y: Tensor, scale: Tensor | None, total: Tensor, read: Tensor) -> None:
        """Add the losses of predictions to `total`, and right guesses (or squared errors) to `read`, ``(slots,)``.

        Args:
            predictions: ``slots x examples x padded outputs``.
            y: the targets, ``examples x padded outputs``.
            scale: the factors to the user's units in regression; None in classification.
        """
        rows = predictions.shape[1]
        room = np.empty(rows * self._width, self._theta.dtype)
        kernels.measure(
            flat(predictions), flat(y), np.zeros(self.slots, np.int64), self.slots, rows, self._width, self._outputs,
            self._loss, flat(self._like if scale is None else scale), room, flat(total), flat(read),
        )  # fmt: skip

    def _kept_size(self, first: int, last: int, rows: int) -> int:
        plan = self._plan
        end = plan[layers.KEPT, last - 1] + plan[layers.OUTPUTS, last - 1] * (
            2 if plan[layers.CODE, last - 1] == activations.OF_INPUT else 1
        )
        return int(rows * (end - plan[layers.KEPT, first]))

    def _starts(self, x: Tensor) -> Places:
        """Return where each slot's minibatch begins."""
        stride = x.shape[1] * x.shape[2]
        if len(x) == self.slots:
            return np.arange(self.slots) * stride
        return self._group_of * stride


class _Room:
    """The memory of one thread: it is written and read within one call of a kernel, or of a few."""

    def __init__(self, plan: Places, like: Tensor) -> None:
        self._plan, self._rows = plan, 0
        self._type = like.numpy().dtype
        inputs, outputs = plan[layers.INPUTS], plan[layers.OUTPUTS]
        self.kept = self.delta = np.zeros(0, self._type)
        self.turned = np.zeros(int((inputs * outputs).sum()), self._type)
        self.zeros = np.zeros(int(max(inputs.max(), outputs.max())), self._type)
        self.panel = np.zeros(products.panel_size(), self._type)

    def for_rows(self, rows: int) -> _Room:
        """Return this room with space for the activations of so many rows, at least a block's."""
        if rows > self._rows:
            self._rows = max(rows, kernels.BLOCK)
            plan = self._plan
            kept = plan[layers.OUTPUTS] * np.where(plan[layers.CODE] == activations.OF_INPUT, 2, 1)
            self.kept = np.zeros(self._rows * int(kept.sum()), self._type)
            self.delta = np.zeros(self._rows * int(plan[layers.OUTPUTS].sum()), self._type)
        return self


@cache
def _helpers(_process: int) -> ThreadPoolExecutor:
    # Threads do not survive a fork, so that each process has its own.
    return ThreadPoolExecutor(thread_name_prefix="kernels")


def together(work: Sequence[Callable[[], None]]) -> None:
    """Call several functions at the same time, the first of them in this thread, and wait for all."""
    helpers = _helpers(os.getpid())
    others = [helpers.submit(one) for one in work[1:]]
    work[0]()
    for other in others:
        other.result()


def _flat_minibatch(x: Tensor) -> Array:
    return flat(x if x.is_contiguous() else x.contiguous())
