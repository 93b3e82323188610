"""A pack's network in compiled kernels, and the memory that it takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import numpy as np
import torch
from torch import Tensor

from search.technique.layout import Layout
from search.train.batches import Targets
from search.train.compiled import kernels, layers, losses
from search.train.compiled.optimisers import Array, CompiledOptimiser, Update, flat
from search.train.compiled.plan import Averaging, Gates, Places, kept_size, plan_of
from search.train.compiled.rooms import Room
from search.train.compiled.sharing import SharedSlots
from search.train.crew import share
from search.train.losses import LossFunction

_SHARED = 2**24  # rows times parameters from which several threads share a slot: a step of about a millisecond


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
        gated: whether `learn` is given gates.
        joined: the numbers of the hidden layers, from 2, to whose activations what entered them is added.
    """

    joins = True  # in stretches of several layers

    def __init__(
        self,
        layout: Layout,
        activation: str,
        loss: LossFunction,
        outputs: int,
        theta: Tensor,
        gradient: Tensor,
        groups: Sequence[slice],
        gated: bool = False,
        joined: Collection[int] = (),
    ) -> None:
        self._plan = plan_of(layout, activation, gated, joined)
        self._theta, self._gradient, self._size = flat(theta), flat(gradient), theta.shape[1]
        self._loss, self._outputs = losses.CODES[loss], outputs
        self.slots, self.dtype = len(theta), theta.dtype
        self._width = int(self._plan[layers.OUTPUTS, layout.layers - 1])
        self._group_of = np.repeat(np.arange(len(groups)), [group.stop - group.start for group in groups])
        self._like = theta.new_empty(0)
        self._room = Room(self._plan, self._like)
        self._shared = SharedSlots(
            self._plan, self._theta, self._gradient, self.slots, self._outputs, self._loss, self._like
        )
        self._kept = np.zeros(0, self._theta.dtype)
        self._known_starts: dict[torch.Size, Places] = {}
        self._written = np.zeros(len(layout.linears), bool)
        self._nothing, self._nowhere = np.zeros((2, 0), self._theta.dtype), np.zeros(0, np.int64)
        self._no_update, self._no_averages = CompiledOptimiser.none(theta), Averaging.none(self._theta)
        self._memory: list[Tensor] = []
        self._taken = 0

    def begin(self) -> None:
        """Begin a step: the first backward pass overwrites the gradient, later ones add to it."""
        self._written[:] = False
        self._taken = 0

    def finish(self) -> None:
        """End the backward passes of a step: they have written the gradient."""

    def learn(self, x: Tensor, y: Targets, total: Tensor, gates: Gates) -> None:
        """Write the gradient of every slot's mean loss, and add the sums of the losses to `total`.

        Args:
            x, y: the minibatch, ``groups or slots x batch``.
            total: float64 ``(slots,)``.
            gates: the gates of inputs and activations.
        """
        threads = self.threads(x.shape[1])
        if threads > 1:
            if gates.at.shape[2] and gates.at[0, 0, 0] >= 0:
                x = x[self._group_of] if len(x) < self.slots else x.clone()
                kernels.gate(x.view(len(x), -1).numpy(), gates.noise, *(each[0, :, 0].copy() for each in gates[1:]))
            inputs = _flat_minibatch(x), self._starts(x)
            self._shared.learn(inputs, self._targets(y), x.shape[1], flat(total), gates, threads)
            return
        # Without penalties, their values are not written to.
        self.train(
            x, y, total, gates, batch=x.shape[1], strengths=self._nothing, penalties=total, rates=self._nothing,
            update=self._no_update,
        )  # fmt: skip

    def train(
        self,
        x: Tensor,
        y: Targets,
        total: Tensor,
        gates: Gates,
        *,
        batch: int,
        strengths: Array,
        penalties: Tensor,
        rates: Array,
        update: Update,
        averaging: Averaging | None = None,
    ) -> None:
        """Train every slot for some steps; the arguments that `learn` has too are for all of them.

        Args:
            x, y: the minibatches one after the other, ``groups x rows``.
            total: the sums of the losses are added to it, float64 ``(slots,)``.
            gates: the gates of each step.
            batch: the number of rows of a minibatch; the last one may have fewer.
            strengths: the factors of the penalties (`steps.penalise`), ``2 x slots``; no columns if there are none.
            penalties: their values at each step are added to it, float64 ``(slots,)``.
            rates: the learning rates, ``steps x slots``.
            update: the optimiser.
            averaging: the averages of the weights, if there are any.
        """
        room = self._room.for_rows(kernels.BLOCK)
        kernels.learn(
            self._plan, self._theta, self._gradient, self._size, self.slots, _flat_minibatch(x), self._starts(x),
            *self._targets(y), x.shape[1], batch, self._outputs, self._loss, room.kept, room.delta, room.turned,
            room.panel, room.zeros, flat(total), *gates, room.gated, strengths, flat(penalties), rates, *update,
            *(averaging or self._no_averages),
        )  # fmt: skip

    def threads(self, rows: int) -> int:
        """Return how many threads share a slot's minibatch of so many rows."""
        return share() if rows * self._size >= _SHARED else 1

    def penalise(self, strengths: Array, penalties: Tensor) -> None:
        """Add the gradients of penalties to that of each slot; the arguments are those of `train`."""
        kernels.penalties(self._theta, self._gradient, self._size, strengths, flat(penalties))

    def forward(self, first: int, last: int, x: Tensor, out: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        """Return a stretch's activations ``slots x batch x outputs``, and what `backward` takes.

        Args:
            first, last: the stretch: the linear maps (`Layout`) from `first` to before `last`.
            x: the inputs, ``groups x batch x features`` (shared within a group) or ``slots x batch x features``.
            out: where the activations are written, if it is given.
        """
        size = kept_size(self._plan, first, last, x.shape[1])
        if out is None:
            out = x.new_empty(self.slots, x.shape[1], self.width(last))
        kept = self._take(self.slots * size)
        self._forward(first, last, x, kept, size, out)
        return out, [kept]

    def predict(self, first: int, last: int, x: Tensor) -> Tensor:
        """Return a stretch's activations, and keep nothing."""
        size = kept_size(self._plan, first, last, x.shape[1])
        out = x.new_empty(self.slots, x.shape[1], self.width(last))
        if len(self._kept) < size:
            self._kept = np.zeros(size, self._theta.dtype)
        self._forward(first, last, x, torch.from_numpy(self._kept), 0, out)
        return out

    def _forward(self, first: int, last: int, x: Tensor, kept: Tensor, size: int, out: Tensor) -> None:
        room = self._room
        kernels.forward(
            self._plan, first, last, self._theta, self._size, self.slots, _flat_minibatch(x), self._starts(x),
            x.shape[1], flat(kept), size, flat(out), room.panel, self._nowhere,
        )  # fmt: skip

    def backward(
        self,
        first: int,
        last: int,
        x: Tensor,
        kept: Sequence[Tensor],
        gradient: Tensor,
        needs_input: bool,
        into: Tensor | None = None,
    ) -> Tensor | None:
        """Add up a stretch's gradients from that in its activations; return that in its inputs if it is needed.

        It is written `into` a tensor if one is given.
        """
        if needs_input and into is None:
            into = x.new_empty(self.slots, *x.shape[1:])
        written = bool(self._written[first])
        self._backward(first, last, x, kept, gradient, self._like if into is None else into, self._gradient, written)
        self._written[first:last] = True
        return into

    def back(self, first: int, last: int, x: Tensor, kept: Sequence[Tensor], gradient: Tensor) -> Tensor:
        """Return the gradient in a stretch's inputs from that in its activations; write none of the weights."""
        into = x.new_empty(self.slots, *x.shape[1:])
        self._backward(first, last, x, kept, gradient, into, np.empty_like(self._gradient), written=False)
        return into

    def _backward(
        self,
        first: int,
        last: int,
        x: Tensor,
        kept: Sequence[Tensor],
        gradient: Tensor,
        into: Tensor,
        of_weights: Array,
        written: bool,
    ) -> None:
        rows = x.shape[1]
        room = self._room.for_rows(rows)
        kernels.backward(
            self._plan, first, last, self._theta, of_weights, self._size, self.slots, _flat_minibatch(x),
            self._starts(x), rows, flat(kept[0]), kept_size(self._plan, first, last, rows), flat(gradient.contiguous()),
            flat(into), written, room.delta, room.turned, room.panel, room.zeros, self._nowhere,
        )  # fmt: skip

    def loss_gradient(self, predictions: Tensor, y: Targets, total: Tensor) -> Tensor:
        """Return the gradient of every slot's mean loss in its predictions; add the sums of losses to `total`."""
        gradient = torch.empty_like(predictions)
        kernels.loss_gradient(
            flat(predictions), *self._targets(y), self.slots, predictions.shape[1], self._width, self._outputs,
            self._loss, flat(gradient), flat(total),
        )  # fmt: skip
        return gradient

    def measure(self, predictions: Tensor, y: Targets, scale: Tensor | None, total: Tensor, read: Tensor) -> None:
        """Add the losses of predictions to `total`, and right guesses (or squared errors) to `read`, ``(slots,)``.

        Args:
            predictions: ``slots x examples x padded outputs``.
            y: the targets of the examples.
            scale: the factors to the user's units in regression; None in classification.
        """
        rows = predictions.shape[1]
        room = np.empty(rows * self._width, self._theta.dtype)
        kernels.measure(
            flat(predictions), flat(y.values), self._like.numpy() if y.weights is None else flat(y.weights), self.slots,
            rows, self._width, self._outputs, self._loss, flat(self._like if scale is None else scale), room,
            flat(total), flat(read),
        )  # fmt: skip

    def width(self, layers_before: int) -> int:
        """Return the padded width of the activations after so many layers; after none, that of the inputs."""
        return int(self._plan[layers.OUTPUTS, layers_before - 1] if layers_before else self._plan[layers.INPUTS, 0])

    def gates(self, noise: Tensor, at: Places, least: Array, scale: Array) -> Gates:
        """Return gates for `learn` and `train`; the arguments are those of `Gates`."""
        return Gates(flat(noise), at, least, scale)

    def no_gates(self, steps: int = 1) -> Gates:
        """Return what stands for the gates of some steps if there are none."""
        return Gates.none(steps, self.slots, self._theta)

    def sizes(self, least: float) -> tuple[Tensor, Tensor]:
        """Return each slot's number of weights below `least` in magnitude, and their norm, float64 ``(slots,)``."""
        small, squares = torch.empty(2, self.slots, dtype=torch.float64)
        kernels.sizes(self._theta, self._size, self._theta.dtype.type(least), flat(small), flat(squares))
        return small, squares.sqrt_()

    def through_gate(self, draws: Tensor, group_of: Tensor, least: Tensor, scale: Tensor) -> Callable[[Tensor], None]:
        """Return a function that applies a gate (`search.technique.Gate`) to activations or gradients, in place."""
        given = flat(draws), group_of.numpy() * draws[0].numel(), least.numpy(), scale.numpy()
        return lambda h: kernels.gate(h.view(len(h), -1).numpy(), *given)

    def _targets(self, y: Targets) -> tuple[Array, Places, Array]:
        """Return targets, where each slot's begin, and weights, which are placed like them."""
        values, weights = y
        if weights is None:
            weights = self._like
        elif len(weights) < len(values):  # techniques have changed the targets of each slot
            weights = weights[self._group_of]
        return _flat_minibatch(values), self._starts(values), flat(weights.contiguous())

    def _take(self, size: int) -> Tensor:
        """Return memory for what a pass keeps; the next step uses it again, because new memory takes long."""
        if self._taken == len(self._memory):
            self._memory.append(self._like)
        if len(self._memory[self._taken]) < size:
            self._memory[self._taken] = self._like.new_empty(size)
        self._taken += 1
        return self._memory[self._taken - 1][:size]

    def _starts(self, x: Tensor) -> Places:
        """Return where each slot's minibatch begins."""
        shape = x.shape
        if shape not in self._known_starts:
            which = np.arange(self.slots) if shape[0] == self.slots else self._group_of
            self._known_starts[shape] = which * (shape[1] * shape[2])
        return self._known_starts[shape]


def _flat_minibatch(x: Tensor) -> Array:
    return flat(x if x.is_contiguous() else x.contiguous())
