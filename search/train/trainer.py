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
from search.train import evaluate, streams
from search.train.batches import Batches
from search.train.changes import Change, has_form
from search.train.direct import DirectGradient, serves
from search.train.network import Network, products_of
from search.train.program import Program
from search.train.torch_products import TorchProducts
from search.train.values import make_values, owned, owner


class Trainer:
    """Trains the slots of a state in place; it can be created anew from the state at any epoch.

    Args:
        program: the program of all slots.
        batches: the data on the device.
        state: every tensor that belongs to a slot, with leading dimension slots.
        replicates: the replicate of each slot; equal ones are consecutive.
        epoch: the number of epochs trained so far.
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
        self._vectors: list[tuple[Tensor, Tensor]] = []
        layout = self._program.layout
        for technique, values in zip(self._program.techniques, self._techniques, strict=True):
            values.state = owned(self._state, owner(technique.name))
            leaves, gradients = {}, {}
            for layer, name in ((at, name) for at, whose, name in layout.vectors if whose == technique.name):
                field = layout.vector(layer, technique.name, name)
                leaf = layout.view(theta, field).detach().requires_grad_()
                leaves[layer + 1, name] = leaf
                gradients[layer + 1, name] = layout.view(self._gradient, field)
                self._vectors.append((leaf, gradients[layer + 1, name]))
            values.parameters, values.parameter_gradients = leaves, gradients
        self._inputs, self._targets = self._bound("input"), self._bound("targets")
        self._losses, self._penalties = self._bound("loss"), self._bound("penalty")
        self._gradients, self._rates, self._projections = map(self._bound, ("gradient", "rate", "project"))
        products = products_of(program, batches, theta, self._gradient, self._moment.groups)
        changes: list[Change] = []
        self._direct: DirectGradient | None = None
        if not isinstance(products, TorchProducts):
            by_technique = zip(program.techniques, self._techniques, strict=True)
            changes = [Change(technique, values, products) for technique, values in by_technique if has_form(technique)]
            if serves(program.techniques):
                self._direct = DirectGradient(products, layout.layers, changes)
        gates = {id(change.values): change.gate_for_autograd for change in changes if change.technique.gate is not None}
        self._network = Network(products, layout.layers, theta, self._bound("layer", gates), self._moment.expand)
        self._update = _update_of(program)

    def run_epoch(self) -> dict[str, Tensor]:
        """Train every slot for one epoch and return its metrics: name to float64 ``(slots,)``."""
        measured = self._train() | self._evaluate()
        state = self._state
        for after in self._bound("after_epoch"):
            if (stop := after(measured)) is not None:
                state["stopped"] = state["stopped"] | stop
        for technique, values in zip(self._program.techniques, self._techniques, strict=True):
            state |= {f"{owner(technique.name)}/{name}": value for name, value in values.state.items()}
        self._moment.epoch += 1
        return measured

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
        program, moment, theta = self._program, self._moment, self._state["theta"]
        minibatches = list(zip(*(torch.split(order, program.batch_size) for order in self._orders()), strict=True))
        loss_sum = torch.zeros(len(theta), dtype=torch.float64, device=theta.device)
        extra_sum = torch.zeros_like(loss_sum)
        moment.train, moment.steps = True, len(minibatches)
        differentiate = self._by_autograd if self._direct is None else self._directly
        extra = None
        rows = 0
        for step, chosen in enumerate(minibatches):
            moment.step, moment.forward = step, 0
            x, targets = self._minibatch(chosen)
            extra = differentiate(x, targets, loss_sum)
            self._step()
            rows += len(chosen[0])
            if extra is not None:
                extra_sum += extra
        measured = {"train_loss": loss_sum / rows}
        if extra is not None:
            measured["train_objective"] = measured["train_loss"] + extra_sum / len(minibatches)
        if self._rates:
            measured["lr"] = moment.lr.amax(1).double()
        return measured

    def _minibatch(self, chosen: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of these rows, as techniques change them, ``groups or slots x batch x ...``."""
        batches = self._batches
        x, y = batches.gather(chosen)
        if self._inputs:
            unit = batches.inputs.unit(x)
            for change in self._inputs:
                unit = change(unit)
            x = batches.inputs.scaled(unit)
        for change in self._targets:
            y = change(y)
        return x, y

    def _by_autograd(self, x: Tensor, y: Tensor, loss_sum: Tensor) -> Tensor | None:
        """Write the gradient of a minibatch; add its losses to `loss_sum`, and return the other terms, ``(slots,)``."""
        batches, moment, program = self._batches, self._moment, self._program
        self._network.begin()
        # The targets of a single group broadcast over its slots.
        targets = y if len(moment.groups) == 1 else moment.expand(y)
        batch = Batch(x, targets, self._pass(x), batches.outputs, batches.task, self._pass)
        loss = program.loss(batch.predictions, batch.targets, batch.outputs).mean(1)
        extra = _sum([*(term(batch) for term in self._losses), *(term(self._leaf) for term in self._penalties)])
        objective = loss if extra is None else loss + extra
        objective.backward(torch.ones_like(loss))  # type: ignore[no-untyped-call]
        for leaf, gradient in self._vectors:
            gradient.zero_() if leaf.grad is None else gradient.copy_(leaf.grad)
            leaf.grad = None
        if self._leaf.grad is not None:
            self._gradient.add_(self._leaf.grad)
            self._leaf.grad = None
        loss_sum += loss.detach() * x.shape[1]
        return None if extra is None else extra.detach()

    def _directly(self, x: Tensor, y: Tensor, loss_sum: Tensor) -> Tensor | None:
        """Do what `_by_autograd` does; only penalties that do not state their gradient take autograd."""
        assert self._direct is not None
        self._direct(x, y, loss_sum)
        terms = []
        for technique, values in zip(self._program.techniques, self._techniques, strict=True):
            if technique.penalty is None:
                continue
            if technique.penalty_gradient is None:
                term = technique.penalty(self._leaf, values)
                self._gradient.add_(torch.autograd.grad(term.sum(), self._leaf)[0])
            else:
                theta = self._state["theta"]
                term = technique.penalty(theta, values)
                technique.penalty_gradient(self._gradient, theta, values)
            terms.append(term.detach())
        return _sum(terms)

    def _pass(self, x: Tensor) -> Tensor:
        predictions = self._network(x)
        self._moment.forward += 1
        return predictions

    def _step(self) -> None:
        """Update the weights from the gradient of this minibatch."""
        moment, theta = self._moment, self._state["theta"]
        for change in self._gradients:
            change(self._gradient, theta)
        values: Mapping[str, Tensor] = moment.numeric
        if self._rates:
            lr = values["lr"][:, None]
            for rate in self._rates:
                factor = rate(moment.epoch * moment.steps + moment.step, moment.steps)
                lr = lr * (factor if factor.ndim == 2 else factor[:, None])
            moment.lr = lr
            values = {**values, "lr": lr}
        self._update(theta, self._gradient, self._optimiser, values)
        for project in self._projections:
            project(theta)

    @torch.no_grad()
    def _evaluate(self) -> dict[str, Tensor]:
        batches, theta, layout = self._batches, self._state["theta"], self._program.layout
        self._moment.train = False
        loss, read = self.score(batches.x_val, batches.y_val)
        measured = {"val_loss": loss, batches.metric: read}
        penalty = _sum([term(self._leaf) for term in self._penalties])
        if penalty is not None:
            measured["val_objective"] = loss + penalty.double()
        # The gradient of the last step has been used, so its memory can be.
        measured |= evaluate.sizes(theta, layout, self._gradient)
        if "test" in self._program.watch:
            names = ("test_loss", batches.metric.replace("val_", "test_"))
            measured |= dict(zip(names, self.score(batches.x_test, batches.y_test), strict=True))
        if "weight_means" in self._program.watch:
            measured["weight_means"] = evaluate.weight_means(theta, layout)
        for extra in self._bound("metrics"):
            measured |= {name: value.double() for name, value in extra(theta).items()}
        return measured

    def score(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean loss and accuracy or error on some rows of data (`evaluate.score`)."""
        self._moment.train = False
        self._network.begin()
        return evaluate.score(self._network, len(self._moment.groups), self._batches, x, y)

    @torch.no_grad()
    def predict(self, x: Tensor, number: int | None = None) -> Tensor:
        """Return predictions ``slots x examples x padded outputs``.

        Args:
            x: the inputs, ``examples x padded features``.
            number: the number of a Monte Carlo pass, on which its draws depend (not on the epoch); None for evaluation.
        """
        moment, parts = self._moment, []
        epoch = moment.epoch
        self._network.begin()
        moment.train, moment.monte_carlo = False, number is not None
        moment.epoch, moment.forward = -1, number or 0
        for moment.step, rows in enumerate(torch.split(x, evaluate.EVAL_ROWS)):
            parts.append(self._network(rows.expand(len(moment.groups), -1, -1)))
        moment.epoch, moment.monte_carlo = epoch, False
        return torch.cat(parts, 1)


def _sum(terms: Sequence[Tensor]) -> Tensor | None:
    """Return the sum of ``(slots,)`` terms, None if there are no terms."""
    return reduce(torch.add, terms) if terms else None


def _update_of(program: Program) -> Callable[[Tensor, Tensor, dict[str, Tensor], Mapping[str, Tensor]], None]:
    """Return the function that takes a step of the program's optimiser, with its engine (`Optimiser.update`)."""
    in_torch = program.optimiser.update
    if program.engine == "torch":
        return in_torch
    from search.train.compiled.optimisers import Flats, prepare  # it takes numba

    flats: list[Flats] = []

    def update(theta: Tensor, gradient: Tensor, state: dict[str, Tensor], values: Mapping[str, Tensor]) -> None:
        if not flats:
            flats.append(Flats(theta, gradient, state))
        take = prepare(program.optimiser, flats[0], values)
        if take is None:
            in_torch(theta, gradient, state, values)
        else:
            take(0, theta.shape[1])

    return update
