"""The point that a pack has reached in training, and each technique's view of it (`search.technique.Values`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from search.technique import Inputs, Value, Values
from search.technique.layout import Layout
from search.train import streams
from search.train.batches import Batches
from search.train.metrics.objective import VAL_LOSS, Objective
from search.train.program import Program
from search.train.step_tables import StepTables


@dataclass
class Moment:
    """The point that a pack has reached in training, as all its techniques see it; it changes as training proceeds.

    Attributes not listed here are those of `search.technique.Values`.

    Attributes:
        seed: the study's seed, part of the name of every draw.
        numeric: the numeric hyperparameters in use by name, ``(slots,)`` each.
        replicates: the replicate of each group.
        groups: the consecutive slots of each group.
        group_of: the group of each slot, int64 ``(slots,)``.
        forward: the number of forward passes in this step so far, part of the name of every draw.
        monte_carlo: whether this is a Monte Carlo pass; `train` is then false.
        aim: the study's first objective.
        tables: what differs from step to step, in the steps of the torch engine; None elsewhere.
        read_by_host: whether a technique has read the epoch or the step, on which its work may then depend.
    """

    seed: int
    numeric: Mapping[str, Tensor]
    structure: Mapping[str, Value]
    layout: Layout
    inputs: Inputs
    classes: Sequence[str]
    class_sizes: Sequence[float]
    replicates: Sequence[int]
    groups: Sequence[slice]
    group_of: Tensor
    slots: int
    device: torch.device
    dtype: torch.dtype
    lr: Tensor
    train: bool = True
    epoch: int = 0
    step: int = 0
    steps: int = 1
    forward: int = 0
    monte_carlo: bool = False
    aim: Objective = VAL_LOSS
    tables: StepTables | None = None
    read_by_host: bool = False

    def expand(self, grouped: Tensor) -> Tensor:
        """Expand ``groups x ...`` to ``slots x ...``, without a copy if there is one group."""
        if len(grouped) == self.slots:
            return grouped
        if len(self.groups) == 1:
            return grouped.expand(self.slots, *grouped.shape[1:])
        parts = [grouped[g].expand(rows.stop - rows.start, *grouped.shape[1:]) for g, rows in enumerate(self.groups)]
        return torch.cat(parts)


@dataclass(eq=False)
class TechniqueValues(Values):
    """`Values` for one technique of a pack: its own state and parameters, and a view of the pack's moment."""

    technique: str
    moment: Moment
    monte_carlo: bool = False
    state: dict[str, Tensor] = field(default_factory=dict)
    parameters: Mapping[tuple[int, str], Tensor] = field(default_factory=dict)
    parameter_gradients: Mapping[tuple[int, str], Tensor] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        # Attributes that all techniques of a pack share are read from its moment.
        if name == "moment":
            raise AttributeError(name)
        return getattr(self.moment, name)

    @property
    def train(self) -> bool:
        return self.moment.train or (self.moment.monte_carlo and self.monte_carlo)

    @property
    def epoch(self) -> int:
        self.moment.read_by_host = True
        return self.moment.epoch

    @property
    def step(self) -> int:
        self.moment.read_by_host = True
        return self.moment.step

    def __getitem__(self, name: str) -> Tensor:
        return self.moment.numeric[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.moment.numeric)

    def __len__(self) -> int:
        return len(self.moment.numeric)

    def uniform(self, name: str, *shape: int) -> Tensor:
        return self._broadcast(self._draw(streams.dense_uniform, name, shape))

    def normal(self, name: str, *shape: int) -> Tensor:
        return self._broadcast(self._draw(streams.normal, name, shape))

    def draws(self, name: str, *shape: int) -> Tensor:
        return self._draw(streams.dense_uniform, name, shape)

    def quantile(self, unit: Tensor) -> Tensor:
        return streams.quantile(unit)

    def _draw(self, draw: Callable[..., Tensor], name: str, shape: Sequence[int]) -> Tensor:
        """Return draws, ``groups x shape``."""
        now, size = self.moment, math.prod(shape)
        forward = now.forward

        def keys(step: int) -> list[int]:
            purpose = (self.technique, name, now.epoch, step, forward)
            return [streams.key(now.seed, replicate, *purpose) for replicate in now.replicates]

        if now.tables is not None:
            keys_now = now.tables.read((self.technique, name, forward), keys)
            return draw(keys_now, size, now.device, now.dtype).view(-1, *shape)
        rows = [draw(stream, size, now.device, now.dtype).view(1, *shape) for stream in keys(now.step)]
        return rows[0] if len(rows) == 1 else torch.cat(rows)

    def _broadcast(self, grouped: Tensor) -> Tensor:
        return grouped if len(grouped) == 1 else self.per_slot(grouped)

    def per_slot(self, grouped: Tensor) -> Tensor:
        return self.moment.expand(grouped)

    def objective(self, metrics: Mapping[str, Tensor]) -> Tensor:
        aim = self.moment.aim
        if aim.name == "val_loss":
            return metrics["val_loss"]
        return torch.where(metrics["val_loss"].isfinite(), aim.loss(metrics[aim.name]), torch.nan)

    def parameter(self, name: str, layer: int) -> Tensor:
        return self.parameters[layer, name]

    def parameter_gradient(self, name: str, layer: int) -> Tensor:
        return self.parameter_gradients[layer, name]


def make_values(
    program: Program, batches: Batches, state: Mapping[str, Tensor], replicates: Sequence[int], epoch: int = 0
) -> tuple[Moment, list[TechniqueValues]]:
    """Return the moment of a state and each technique's view of it.

    Args:
        program: the program of all rows.
        batches: the data on the device.
        state: the state; its "values/..." entries are read.
        replicates: the replicate of each row; equal ones are consecutive.
        epoch: the number of epochs trained so far.
    """
    distinct = list(dict.fromkeys(replicates))
    groups = [slice(at := replicates.index(one), at + replicates.count(one)) for one in distinct]
    numeric = owned(state, "values")
    moment = Moment(
        seed=program.seed,
        numeric=numeric,
        structure=program.structure,
        layout=program.layout,
        inputs=batches.inputs,
        classes=batches.classes,
        class_sizes=batches.class_sizes,
        replicates=distinct,
        groups=groups,
        group_of=torch.tensor([distinct.index(one) for one in replicates], device=batches.device),
        slots=len(replicates),
        device=batches.device,
        dtype=batches.dtype,
        lr=numeric["lr"][:, None],
        epoch=epoch,
        aim=program.objective,
    )
    return moment, [TechniqueValues(one.name, moment, one.monte_carlo) for one in program.techniques]


def bind(
    layout: Layout, techniques: Sequence[TechniqueValues], state: Mapping[str, Tensor], gradient: Tensor
) -> list[tuple[Tensor, Tensor]]:
    """Give each technique its own state and parameters; return every parameter with the place of its gradient.

    Parameters are leaves for autograd, ``slots x padded width``, that share the memory of the weights.

    Args:
        layout: the place of each parameter.
        techniques: each technique's view of the pack.
        state: the state of the pack.
        gradient: the gradient of all weights, ``slots x size``.
    """
    bound = []
    for values in techniques:
        values.state = owned(state, owner(values.technique))
        leaves, gradients = {}, {}
        for layer, name in ((at, name) for at, whose, name in layout.vectors if whose == values.technique):
            field = layout.vector(layer, values.technique, name)
            leaves[layer + 1, name] = layout.view(state["theta"], field).detach().requires_grad_()
            gradients[layer + 1, name] = layout.view(gradient, field)
            bound.append((leaves[layer + 1, name], gradients[layer + 1, name]))
        values.parameters, values.parameter_gradients = leaves, gradients
    return bound


def owned(state: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    """Return the tensors of a state that belong to an owner, by the rest of their names."""
    start = f"{owner}/"
    return {name.removeprefix(start): value for name, value in state.items() if name.startswith(start)}


def owner(technique: str) -> str:
    """Return the name under which a state holds a technique's tensors."""
    return f"technique:{technique}"
