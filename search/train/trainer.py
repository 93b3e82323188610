"""The training of a pack's slots: the steps of an epoch, which change the state, and the metrics after it.

    order -> minibatch -> inputs -> forward (layers) -> targets -> loss + terms -> backward
          -> gradients -> rates -> optimiser -> projections

Techniques act through their hooks (`search.technique.Technique`), in the order in which the study names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from search.technique import Batch
from search.train import at_once, direct, streams, waves
from search.train.at_once import StepsAtOnce
from search.train.averages import Averages
from search.train.batches import Batches, Targets
from search.train.changes import Change, has_form
from search.train.direct import DirectGradient
from search.train.evaluator import Evaluator
from search.train.members import MemberProducts, repeated
from search.train.mixing import mixings
from search.train.network import Network, optimiser_of, products_of
from search.train.passes import Passes
from search.train.penalties import Penalties
from search.train.program import Program
from search.train.scheduled import Scheduled
from search.train.torch_products import TorchProducts
from search.train.values import bind, make_values, owned, owner


class Trainer:
    """Trains the slots of a state in place; it can be created anew from the state at any epoch.

    Args:
        program: the program of all slots.
        batches: the data on the device.
        state: every tensor that belongs to a slot, with leading dimension slots.
        replicates: the replicate of each slot; equal ones are consecutive.
        epoch: the number of epochs trained so far.

    Attributes:
        evaluator: what measures the slots.
    """

    def __init__(
        self, program: Program, batches: Batches, state: dict[str, Tensor], replicates: Sequence[int], epoch: int
    ) -> None:
        self._program, self._batches, self._state = program, batches, state
        self._moment, self._techniques = make_values(program, batches, state, replicates, epoch)
        theta = self._state["theta"]
        self._optimiser = owned(self._state, "optimiser")
        self._gradient = torch.zeros_like(theta)
        # Techniques differentiate through these leaves, which share the weights' memory. One leaf holds all weights.
        # The techniques' own vectors have leaves of their own, because a gradient through that leaf has its full size.
        self._leaf = theta.detach().requires_grad_()
        self._vectors = bind(self._program.layout, self._techniques, self._state, self._gradient)
        self._averages = Averages(program, self._techniques, state)
        layout = self._program.layout
        self._inputs, self._targets = self._bound("input"), self._bound("targets")
        self._losses, self._penalties = self._bound("loss"), self._bound("penalty")
        self._scheduled = Scheduled(program.techniques, self._techniques, self._moment)
        self._gradients, self._rates, self._projections = map(self._bound, ("gradient", "rate", "project"))
        products = products_of(program, batches, theta, self._gradient, self._moment.groups)
        changes: list[Change] = []
        mixed = mixings(program, self._techniques)
        self._direct: DirectGradient | None = None
        self._at_once: StepsAtOnce | None = None
        self._compiled = optimiser_of(program, theta, self._gradient, self._optimiser, self._moment.numeric)
        whole = products.whole if isinstance(products, MemberProducts) else products
        self._kernels = None if isinstance(products, TorchProducts) or isinstance(whole, TorchProducts) else products
        if not isinstance(whole, TorchProducts):
            by_technique = zip(program.techniques, self._techniques, strict=True)
            changes = [Change(technique, values, whole) for technique, values in by_technique if has_form(technique)]
            if not isinstance(products, TorchProducts | MemberProducts) and direct.serves(program.techniques):
                self._direct = DirectGradient(products, layout.layers, changes, program.joined, mixed)
                self._added = Penalties(program.techniques, self._techniques, products, theta, self._gradient)
                if self._compiled is not None and at_once.serves(
                    program, self._direct, self._added, self._scheduled.names
                ):
                    self._at_once = StepsAtOnce(
                        program,
                        batches,
                        self._moment,
                        products,
                        self._direct,
                        self._added,
                        self._compiled,
                        self._scheduled,
                        self._rate if self._rates else None,
                        self._averages,
                    )
        gates = {id(change.values): change.gate_for_autograd for change in changes if change.technique.gate is not None}
        self._network = Network(
            products,
            layout.layers,
            theta,
            self._bound("layer", gates),
            self._moment.expand,
            program.joined,
            mixed,
            waves.of(layout, self._techniques, program.engine),
        )
        first = self._by_autograd if self._direct is None else self._directly
        self._passes = Passes(first, program.techniques, self._techniques, self._moment, theta, self._gradient)
        self.evaluator = Evaluator(
            program,
            batches,
            self._moment,
            self._network,
            self._averages,
            theta,
            self._penalties,
            self._bound("metrics"),
        )

    def run_epoch(self) -> dict[str, Tensor]:
        """Train every slot for one epoch and return its metrics: name to float64 ``(slots,)``."""
        measured = self._train() | self.evaluator.measure()
        state = self._state
        for after in self._bound("after_epoch"):
            if (stop := after(measured)) is not None:
                state["stopped"] = state["stopped"] | stop
        for technique, values in zip(self._program.techniques, self._techniques, strict=True):
            state |= {f"{owner(technique.name)}/{name}": value for name, value in values.state.items()}
        self._moment.epoch += 1
        return measured

    def close(self) -> None:
        """Let go of every tensor now. The parts refer to each other in circles, which Python collects late."""
        for part in (self._passes, self):
            vars(part).clear()

    def _bound(self, hook: str, instead: Mapping[int, Callable[..., Any]] | None = None) -> list[Callable[..., Any]]:
        """Return a hook of each technique that has it, in order, bound to the technique's values as last argument.

        Args:
            hook: the name of the hook.
            instead: what to return instead for some techniques, by the identity of their values.
        """
        bound = []
        for technique, values in zip(self._program.techniques, self._techniques, strict=True):
            if (function := getattr(technique, hook)) is not None:
                other = None if instead is None else instead.get(id(values))
                bound.append(other or (lambda *given, call=function, values=values: call(*given, values)))
        return bound

    def _orders(self) -> list[Tensor]:
        """Return the order of the training rows in this epoch for each replicate, ``(rows,)`` each."""
        seed, device, count = self._program.seed, self._batches.device, self._batches.train_rows
        orders = []
        for replicate in self._moment.replicates:
            used = None
            for choose in (one.rows for one in self._program.techniques if one.rows is not None):
                if used is None:
                    used = streams.permutation(streams.key(seed, replicate, "rows"), count, device)
                used = choose(used, self._program.structure)
            drawn = streams.permutation(
                streams.key(seed, replicate, "order", self._moment.epoch), count if used is None else len(used), device
            )
            orders.append(drawn if used is None else used[drawn])
        return orders

    def _train(self) -> dict[str, Tensor]:
        moment, size = self._moment, self._program.batch_size
        orders = self._orders()
        rows = len(orders[0])
        loss_sum = torch.zeros(moment.slots, dtype=torch.float64, device=moment.device)
        extra_sum = torch.zeros_like(loss_sum)
        moment.train, moment.steps = True, -(-rows // size)
        count = 1 if self._at_once is None else self._at_once.count
        for first in range(0, moment.steps, count):
            moment.step, moment.forward = first, 0
            chosen = [order[first * size : (first + count) * size] for order in orders]
            if self._at_once is None or not self._at_once(chosen, loss_sum, extra_sum):
                self._step_by_step(chosen, loss_sum, extra_sum)
        self._scheduled.end()
        measured = {"train_loss": loss_sum / rows}
        if self._losses or self._penalties:
            measured["train_objective"] = measured["train_loss"] + extra_sum / moment.steps
        if self._rates:
            measured["lr"] = moment.lr.amax(1).double()
        return measured

    def _step_by_step(self, chosen: Sequence[Tensor], loss_sum: Tensor, extra_sum: Tensor) -> None:
        """Take the steps that begin with the moment's, one after the other; the arguments are as in `StepsAtOnce`."""
        moment = self._moment
        minibatches = zip(*(torch.split(rows, self._program.batch_size) for rows in chosen), strict=True)
        for step, minibatch in enumerate(minibatches, moment.step):
            moment.step, moment.forward = step, 0
            self._scheduled.begin()
            x, targets = self._minibatch(minibatch)
            self._passes(x, targets, loss_sum, extra_sum)
            self._step()

    def _minibatch(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Targets]:
        """Return inputs and targets of these rows, as techniques change them, ``groups or slots x batch``."""
        batches = self._batches
        x, y = batches.gather(chosen)
        if self._inputs:
            unit = batches.inputs.unit(x)
            for change in self._inputs:
                unit = change(unit)
            x = batches.inputs.scaled(unit)
        for change in self._targets:
            y = y._replace(values=change(y.values))
        members = self._program.layout.members
        return x, y if members == 1 else repeated(y, members, self._moment.expand)

    def _by_autograd(
        self, x: Tensor, y: Targets, loss_sum: Tensor, extra_sum: Tensor, needs_input: bool
    ) -> Tensor | None:
        """Write the gradient of a minibatch; add its losses to `loss_sum`, and the other terms to `extra_sum`.

        Return the gradient in the inputs, ``slots x batch x padded features``, if it is needed.
        """
        batches, moment, program = self._batches, self._moment, self._program
        self._network.begin()
        if needs_input:
            x = moment.expand(x).detach().clone().requires_grad_()
        # The targets of a single group broadcast over its slots.
        targets = y.values if len(moment.groups) == 1 else moment.expand(y.values)
        batch = Batch(x, targets, self._pass(x), batches.outputs, batches.task, self._pass)
        predictions = batch.predictions
        if self._kernels is None:
            each = program.loss(predictions, targets, batch.outputs)
            loss = (each if y.weights is None else each * moment.expand(y.weights)).mean(1)
            loss_sum += loss.detach() * x.shape[1]
            roots = {loss: torch.ones_like(loss)}
        else:
            roots = {predictions: self._kernels.loss_gradient(predictions.detach(), y, loss_sum)}
        extra = _sum([*(term(batch) for term in self._losses), *(term(self._leaf) for term in self._penalties)])
        if extra is not None:
            roots[extra] = torch.ones_like(extra)
            extra_sum += extra.detach()
        with self._network.learning():
            torch.autograd.backward(tuple(roots), tuple(roots.values()))
        for leaf, gradient in self._vectors:
            gradient.zero_() if leaf.grad is None else gradient.copy_(leaf.grad)
            leaf.grad = None
        if self._leaf.grad is not None:
            self._gradient.add_(self._leaf.grad)
            self._leaf.grad = None
        return x.grad

    def _directly(self, x: Tensor, y: Targets, loss_sum: Tensor, extra_sum: Tensor, needs_input: bool) -> Tensor | None:
        """Do what `_by_autograd` does."""
        assert self._direct is not None
        slope = self._direct(x, y, loss_sum, needs_input)
        self._moment.forward += 1
        self._added.add(extra_sum)
        return slope

    def _pass(self, x: Tensor) -> Tensor:
        predictions = self._network(x)
        self._moment.forward += 1
        return predictions

    def _step(self) -> None:
        """Update the weights from the gradient of this minibatch."""
        moment, theta = self._moment, self._state["theta"]
        for change in self._gradients:
            change(self._gradient, theta)
        lr = self._rate() if self._rates else moment.numeric["lr"][:, None]
        if self._compiled is not None:
            if self._scheduled.names:
                self._compiled.read(moment.numeric)
            self._compiled.step(lr)
        else:
            values = {**moment.numeric, "lr": lr}
            self._program.optimiser.update(theta, self._gradient, self._optimiser, values)
        for project in self._projections:
            project(theta)
        if self._averages.places:
            self._averages.update(moment.epoch * moment.steps + moment.step, moment.steps)

    def _rate(self) -> Tensor:
        """Return the learning rates of this step, ``slots x 1`` or ``slots x size``."""
        moment = self._moment
        lr = moment.numeric["lr"][:, None]
        for rate in self._rates:
            factor = rate(moment.epoch * moment.steps + moment.step, moment.steps)
            lr = lr * (factor if factor.ndim == 2 else factor[:, None])
        moment.lr = lr
        return lr


def _sum(terms: Sequence[Tensor]) -> Tensor | None:
    """Return the sum of ``(slots,)`` terms, None if there are no terms."""
    return reduce(torch.add, terms) if terms else None
