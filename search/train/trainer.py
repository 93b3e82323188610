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
from search.train import at_once, direct, waves
from search.train.at_once import StepsAtOnce
from search.train.averages import Averages
from search.train.batches import Batches, Targets
from search.train.changes import Change, has_form
from search.train.direct import DirectGradient
from search.train.evaluator import Evaluator
from search.train.fused.penalties import in_step
from search.train.fused.projections import projections
from search.train.graphs import Repeated
from search.train.members import MemberProducts, repeated
from search.train.mixing import mixings
from search.train.network import Network, fused_optimiser_of, optimiser_of, products_of
from search.train.orders import orders
from search.train.passes import Passes
from search.train.penalties import Penalties
from search.train.program import Program
from search.train.rates import Rates
from search.train.scheduled import Scheduled
from search.train.step_loop import StepLoop
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
        self._gradients = self._bound("gradient")
        self._rates = Rates(self._bound("rate"), self._scheduled, self._moment)
        known = projections(program.techniques, self._techniques, program.engine, theta.device)
        self._projections = self._bound("project", known)
        products = products_of(program, batches, theta, self._gradient, self._moment.groups)
        changes: list[Change] = []
        mixed = mixings(program, self._techniques)
        self._direct: DirectGradient | None = None
        self._at_once: StepsAtOnce | None = None
        of_optimiser = theta, self._gradient, self._optimiser, self._moment.numeric
        compiled = optimiser_of(program, *of_optimiser)
        fused = fused_optimiser_of(program, products, *of_optimiser)
        self._compiled = compiled if fused is None else fused
        self._in_step = in_step(program.techniques, self._techniques, fused)
        whole = products.whole if isinstance(products, MemberProducts) else products
        self._kernels = None if isinstance(products, TorchProducts) or isinstance(whole, TorchProducts) else products
        if not isinstance(whole, TorchProducts):
            by_technique = zip(program.techniques, self._techniques, strict=True)
            changes = [Change(technique, values, whole) for technique, values in by_technique if has_form(technique)]
            if not isinstance(products, TorchProducts | MemberProducts) and direct.serves(program.techniques):
                self._direct = DirectGradient(products, layout.layers, changes, program.joined, mixed)
                self._added = Penalties(program.techniques, self._techniques, products, theta, self._gradient)
                if compiled is not None and at_once.serves(program, self._direct, self._added, self._scheduled.names):
                    self._at_once = StepsAtOnce(
                        program,
                        batches,
                        self._moment,
                        products,
                        self._direct,
                        self._added,
                        compiled,
                        self._scheduled,
                        self._rates,
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
        self._loss_sum = torch.zeros(len(theta), dtype=torch.float64, device=theta.device)
        self._extra_sum = torch.zeros_like(self._loss_sum)
        first = self._by_autograd if self._direct is None else self._directly
        self._passes = Passes(first, program.techniques, self._techniques, self._moment, theta, self._gradient)
        self._loop = StepLoop(
            self._moment, self._techniques, program.batch_size, self._step, repeats=self._rates.in_tables
        )
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
        self._measure = Repeated(self.evaluator.measure, theta.device)

    def run_epoch(self) -> dict[str, Tensor]:
        """Train every slot for one epoch and return its metrics: name to float64 ``(slots,)``."""
        measured = self._train() | self._measure()
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
        for part in (self._passes, self._loop, self):
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

    def _train(self) -> dict[str, Tensor]:
        moment, size = self._moment, self._program.batch_size
        chosen = orders(self._program, self._batches, moment)
        rows = len(chosen[0])
        self._loss_sum.zero_()
        self._extra_sum.zero_()
        moment.train, moment.steps = True, -(-rows // size)
        if self._program.engine == "torch":
            self._loop(chosen)
        else:
            self._compiled_steps(chosen)
        self._scheduled.end()
        measured = {"train_loss": self._loss_sum / rows}
        if self._losses or self._penalties:
            measured["train_objective"] = measured["train_loss"] + self._extra_sum / moment.steps
        if self._rates.change:
            measured["lr"] = self._rates.last().double()
        return measured

    def _compiled_steps(self, rows_in_order: Sequence[Tensor]) -> None:
        """Take the steps of an epoch in compiled kernels, many at once where that is possible."""
        moment, size = self._moment, self._program.batch_size
        count = 1 if self._at_once is None else self._at_once.count
        for first in range(0, moment.steps, count):
            moment.step, moment.forward = first, 0
            chosen = [order[first * size : (first + count) * size] for order in rows_in_order]
            if self._at_once is not None and self._at_once(chosen, self._loss_sum, self._extra_sum):
                continue
            minibatches = zip(*(torch.split(rows, size) for rows in chosen), strict=True)
            for step, minibatch in enumerate(minibatches, first):
                moment.step, moment.forward = step, 0
                self._step(minibatch)

    def _step(self, chosen: Sequence[Tensor]) -> None:
        """Take a step with these rows of each group, ``(batch,)`` each."""
        self._scheduled.begin()
        x, targets = self._minibatch(chosen)
        self._passes(x, targets, self._loss_sum, self._extra_sum)
        self._update()

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
        penalties = self._penalties if self._in_step is None else self._in_step.others
        if terms := [*(term(batch) for term in self._losses), *(term(self._leaf) for term in penalties)]:
            extra = reduce(torch.add, terms)
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
        if self._in_step is not None:
            self._in_step.add(extra_sum)
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

    def _update(self) -> None:
        """Update the weights from the gradient of this minibatch."""
        moment, theta = self._moment, self._state["theta"]
        for change in self._gradients:
            change(self._gradient, theta)
        lr = self._rates.now()
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
            self._averages.update(self._scheduled.of_step("shares", self._shares))

    def _shares(self, step: int) -> Tensor:
        """Return the share of each average at a step of the epoch, ``averages x slots``."""
        moment = self._moment
        return self._averages.shares(moment.epoch * moment.steps + step, moment.steps)
