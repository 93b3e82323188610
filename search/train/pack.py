"""A pack: slots of one signature, training in lockstep as one batched network.

    order -> minibatch -> forward -> loss + penalties -> backward -> gradient hooks -> optimiser -> projections

A slot's weights and curves are a function of the program, its hyperparameters and its replicate alone (contract C3):
not of its place, its neighbours or the pack's width. Three things make that true to the bit on the CPU: widths padded
to 64 bytes (`layout`), randomness by name (`streams`), and never fewer than two slots in a batched product, where
another kernel would take over. A slot alone with its replicate is therefore doubled; its double is never reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from search.train import losses, streams
from search.train.batches import Batches
from search.train.layout import Layout
from search.train.network import Network
from search.train.program import Program

# Rows per product in evaluation. A constant, because how rows are cut must not depend on the pack.
EVAL_ROWS = 2048
_SPARSE = 1e-6


@dataclass(frozen=True)
class Slot:
    """One replicate of one trial, with the trial's numeric hyperparameters by name."""

    trial: int
    replicate: int
    values: Mapping[str, float]


class Pack:
    """The state of some slots and the epochs that change it.

    Args:
        program: what all the slots have in common.
        batches: the data on the device.
        slots: who trains; kept sorted by replicate, because a replicate's slots share their minibatches.

    Attributes:
        slots: in the order of every result ``(slots,)``.
        epoch: epochs trained so far.
        state: every tensor that makes a slot what it is, leading dimension rows (slots and doubles).
    """

    def __init__(self, program: Program, batches: Batches, slots: Sequence[Slot]) -> None:
        self.program = program
        self.batches = batches
        self.slots = sorted(slots, key=lambda slot: slot.replicate)
        self.epoch = 0
        rows = _arrange(self.slots)
        device, dtype = batches.device, batches.dtype
        values = {
            name: torch.tensor([self.slots[i].values[name] for i in rows], dtype=dtype, device=device)
            for name in program.numeric
        }
        by_replicate = {slot.replicate: initial_weights(program, slot.replicate, device, dtype) for slot in self.slots}
        theta = torch.stack([by_replicate[self.slots[i].replicate] for i in rows])
        self.state = {f"values/{name}": value for name, value in values.items()}
        self.state |= {f"optimiser/{name}": value for name, value in program.optimiser.init(theta, values).items()}
        self.state["theta"] = theta
        self.state["best"] = theta.clone()
        self.state["best_loss"] = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=device)
        self._settle(rows)

    @classmethod
    def gather(cls, packs: Sequence[Pack], keep: Sequence[tuple[int, int]]) -> Pack:
        """One pack of the slots `keep`, as (pack, slot) indices into `packs` of one program and epoch.

        This is how freed slots are compacted away and how what is left of several packs becomes one.
        """
        first = packs[0]
        if any(pack.program is not first.program or pack.epoch != first.epoch for pack in packs):
            raise ValueError("only packs of one program and epoch become one")
        pack = cls.__new__(cls)
        pack.program, pack.batches, pack.epoch = first.program, first.batches, first.epoch
        keep = sorted(keep, key=lambda at: packs[at[0]].slots[at[1]].replicate)
        pack.slots = [packs[p].slots[s] for p, s in keep]
        starts = [sum(len(other.state["theta"]) for other in packs[:p]) for p in range(len(packs))]
        rows = _arrange(pack.slots)
        source = [starts[keep[i][0]] + packs[keep[i][0]]._rows[keep[i][1]] for i in rows]
        index = torch.tensor(source, device=first.batches.device)
        pack.state = {name: torch.cat([other.state[name] for other in packs])[index] for name in first.state}
        pack._settle(rows)
        return pack

    def _settle(self, rows: Sequence[int]) -> None:
        """Build what follows from the state: which row shows each slot, the groups, the network over the buffers."""
        self._rows = [rows.index(slot) for slot in range(len(self.slots))]
        self._index = torch.tensor(self._rows, device=self.batches.device)
        replicates = [self.slots[i].replicate for i in rows]
        self._replicates = list(dict.fromkeys(replicates))
        groups = []
        for replicate in self._replicates:
            start = replicates.index(replicate)
            groups.append(slice(start, start + replicates.count(replicate)))
        self._groups = groups
        self._values = {name: self.state[f"values/{name}"] for name in self.program.numeric}
        self._optimiser = {
            name.removeprefix("optimiser/"): value
            for name, value in self.state.items()
            if name.startswith("optimiser/")
        }
        theta = self.state["theta"]
        self._gradient = torch.zeros_like(theta)
        # Techniques differentiate through this leaf; it shares the weights' memory.
        self._leaf = theta.detach().requires_grad_()
        self._network = Network(self.program.layout, self.program.activation, theta, self._gradient, groups)

    def weights(self, slot: int, *, best: bool = True) -> dict[str, Tensor]:
        """A slot's weights as `torch.nn.Sequential` of Linear and activation would name them."""
        return self.program.layout.unpack(self.state["best" if best else "theta"][self._rows[slot]])

    def run_epoch(self) -> dict[str, Tensor]:
        """Train every slot for one epoch and measure it: metric name to float64 ``(slots,)`` on the CPU."""
        trained = self._train()
        measured = trained | self._evaluate()
        improved = measured["val_loss"] < self.state["best_loss"]
        self.state["best_loss"] = torch.where(improved, measured["val_loss"], self.state["best_loss"])
        torch.where(improved[:, None], self.state["theta"], self.state["best"], out=self.state["best"])
        self.epoch += 1
        names = list(measured)
        table = torch.stack([measured[name] for name in names])[:, self._index].cpu()
        return dict(zip(names, table, strict=True))

    def _train(self) -> dict[str, Tensor]:
        program, batches, theta = self.program, self.batches, self.state["theta"]
        orders = [
            streams.permutation(
                streams.key(program.seed, replicate, "order", self.epoch), batches.train_rows, batches.device
            )
            for replicate in self._replicates
        ]
        minibatches = list(zip(*(torch.split(order, program.batch_size) for order in orders), strict=True))
        steps = len(minibatches)
        loss_sum = torch.zeros(len(theta), dtype=torch.float64, device=theta.device)
        penalty_sum = torch.zeros_like(loss_sum)
        ones = torch.ones(len(theta), dtype=theta.dtype, device=theta.device)
        for step, chosen in enumerate(minibatches):
            x, y = batches.gather(chosen)
            self._network.begin_step()
            rows = program.loss(self._network(x), self._per_slot(y), batches.outputs)
            loss = rows.mean(1)
            penalty = self._penalty()
            objective = loss if penalty is None else loss + penalty
            objective.backward(ones)  # type: ignore[no-untyped-call]
            self._step(step, steps)
            loss_sum += loss.detach() * len(chosen[0])
            if penalty is not None:
                penalty_sum += penalty.detach()
        measured = {"train_loss": loss_sum / batches.train_rows}
        if program.penalties:
            measured["train_objective"] = measured["train_loss"] + penalty_sum / steps
        return measured

    def _penalty(self) -> Tensor | None:
        """The sum of the techniques' penalties, ``(rows,)``, or None where the study has none."""
        if not self.program.penalties:
            return None
        first, *others = (penalty(self._leaf, self._values) for penalty in self.program.penalties)
        for term in others:
            first = first + term
        return first

    def _step(self, step: int, steps: int) -> None:
        """From the gradient of this minibatch to the next weights."""
        program, theta, values = self.program, self.state["theta"], self._values
        if self._leaf.grad is not None:
            self._gradient.add_(self._leaf.grad)
            self._leaf.grad = None
        for change in program.gradients:
            change(self._gradient, theta, values)
        if program.rates:
            lr = values["lr"]
            for rate in program.rates:
                lr = lr * rate(self.epoch * steps + step, steps, values)
            values = values | {"lr": lr}
        program.optimiser.update(theta, self._gradient, self._optimiser, values)
        for project in program.projections:
            project(theta, values)

    def _per_slot(self, y: Tensor) -> Tensor:
        """Targets ``groups x batch x outputs`` as something that broadcasts over the rows."""
        if len(self._groups) == 1:
            return y
        return torch.cat([y[g].expand(rows.stop - rows.start, -1, -1) for g, rows in enumerate(self._groups)])

    @torch.no_grad()
    def _evaluate(self) -> dict[str, Tensor]:
        batches, theta = self.batches, self.state["theta"]
        loss, read = self.score(batches.x_val, batches.y_val)
        norm = torch.linalg.vector_norm(theta, dim=1).double()
        # Padding is exactly zero, so it is counted and taken off again: cheaper than masking it out.
        layout = self.program.layout
        zeros = (theta.abs() < _SPARSE).sum(1).double() - (layout.size - layout.trainable)
        measured = {"val_loss": loss, batches.metric: read}
        if self.program.penalties:
            penalty = self._penalty()
            assert penalty is not None
            measured["val_objective"] = loss + penalty.double()
        # Where weights are not finite, so is the padding.
        sparsity = torch.where(norm.isfinite(), zeros / layout.trainable, torch.nan)
        return measured | {"sparsity": sparsity, "weight_norm": norm}

    @torch.no_grad()
    def score(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy (or root mean squared error in the user's units) on some rows, by row of the state.

        Args:
            x: ``examples x padded features``; y: ``examples x padded outputs``.
        """
        batches = self.batches
        rows = len(self.state["theta"])
        loss = torch.zeros(rows, dtype=torch.float64, device=batches.device)
        read = torch.zeros_like(loss)
        shared = [x[start : start + EVAL_ROWS] for start in range(0, len(x), EVAL_ROWS)]
        targets = [y[start : start + EVAL_ROWS] for start in range(0, len(y), EVAL_ROWS)]
        for part, truth in zip(shared, targets, strict=True):
            predictions = self._network(part.expand(len(self._groups), -1, -1))
            loss += self.program.loss(predictions, truth[None], batches.outputs).sum(1)
            if batches.target_scale is None:
                read += losses.correct(predictions, truth, batches.outputs)
            else:
                read += losses.squared_error(predictions, truth, batches.target_scale)
        loss /= len(x)
        read = read / len(x) if batches.target_scale is None else (read / (len(x) * batches.outputs)).sqrt()
        return loss, read


def initial_weights(program: Program, replicate: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A replicate's weights before training, ``(size,)``: uniform in +-1/sqrt(inputs), as `torch.nn.Linear` draws them.

    One unit draw per (replicate, parameter, shape), so that trials of one replicate start from the same point.
    """
    layout: Layout = program.layout
    row = torch.zeros(1, layout.size, dtype=dtype, device=device)
    for field in layout.fields:
        count = 1
        for width in field.shape:
            count *= width
        stream = streams.key(program.seed, replicate, "init", field.name, *field.shape)
        unit = streams.uniform(stream, count, device, dtype).view(1, *field.shape)
        inputs = layout.widths[int(field.name.split(".")[0])]
        layout.view(row, field)[field.inner] = (2 * unit - 1) / inputs**0.5
    return row[0]


def _arrange(slots: Sequence[Slot]) -> list[int]:
    """Which slot each row of the state holds: slots sorted by replicate, one that is alone with its replicate twice."""
    rows: list[int] = []
    for index, slot in enumerate(slots):
        alone = sum(other.replicate == slot.replicate for other in slots) == 1
        rows += [index, index] if alone else [index]
    return rows
