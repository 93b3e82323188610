"""A pack: slots of one signature that train together as one batched network; `trainer` has the steps.

A slot's weights and curves depend on the program, its hyperparameters and its replicate alone, not on its place, its
neighbours or the pack's width (contract C3, docs/design.md). On the CPU this is true to the bit, because every slot has
products of its own (`compiled.products`, `torch_products`) and random draws are keyed by name (`streams`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from search.train import averages
from search.train.batches import Batches, Targets
from search.train.initial import initial_weights
from search.train.model_parts import PlainNetwork
from search.train.plain import plain_weights
from search.train.precision import products
from search.train.program import Program
from search.train.trainer import Trainer
from search.train.values import make_values, owner


@dataclass(frozen=True)
class Slot:
    """One replicate of one trial, with the trial's numeric hyperparameters by name."""

    trial: int
    replicate: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Saved:
    """A saved pack: its epoch, its slots as (trial, replicate), and its state with a row for each slot."""

    epoch: int
    slots: Sequence[tuple[int, int]]
    state: Mapping[str, Tensor]


_Places = Sequence[Tensor]
"""For each pack from which slots are taken: their places in the new pack and in that one, int64 ``2 x slots``."""


class Pack:
    """The state of some slots, and the training that changes it.

    Args:
        program: the program of all the slots.
        batches: the data on the device; the program encodes them, if it does and they are not encoded yet.
        slots: the slots, in any order.

    Attributes:
        slots: the slots in the order of every result ``(slots,)``: sorted by replicate, because the slots of a
            replicate share their minibatches.
        epoch: the number of epochs trained so far.
        stopped: the slots that a technique has stopped by then; the caller takes them out.
        state: every tensor that belongs to a slot, with leading dimension slots.
    """

    def __init__(self, program: Program, batches: Batches, slots: Sequence[Slot]) -> None:
        self.program = program
        self.batches = program.encoded(batches)
        self.slots = sorted(slots, key=lambda slot: slot.replicate)
        self.epoch = 0
        self.stopped: list[Slot] = []
        self._replicates = [slot.replicate for slot in self.slots]
        self._trainer: Trainer | None = None

    @cached_property
    def state(self) -> dict[str, Tensor]:
        # Created at first use, so that the packs of a cohort that wait for their turn take no memory yet.
        program, device, dtype = self.program, self.batches.device, self.batches.dtype
        state: dict[str, Tensor] = {}
        for name in program.numeric:
            given = [slot.values[name] for slot in self.slots]
            state[f"values/{name}"] = torch.tensor(given, dtype=dtype, device=device)
        moment, techniques = make_values(program, self.batches, state, self._replicates)
        theta = initial_weights(program, self._replicates, techniques, moment.lr)
        state |= {f"optimiser/{name}": value for name, value in program.optimiser.init(theta, moment.numeric).items()}
        for technique, values in zip(program.techniques, techniques, strict=True):
            if technique.start is not None:
                started = technique.start(values)
                state |= {f"{owner(technique.name)}/{name}": value for name, value in started.items()}
        state["theta"] = theta
        state["stopped"] = torch.zeros(len(theta), dtype=torch.bool, device=device)
        state |= averages.initial(program, state)
        return state

    @classmethod
    def restored(cls, program: Program, batches: Batches, slots: Sequence[Slot], saved: Saved) -> Pack:
        """Return a pack of some of the slots that were saved, at their epoch; it is on the CPU until it trains."""
        pack = cls(program, batches, slots)
        index = torch.tensor([saved.slots.index((slot.trial, slot.replicate)) for slot in pack.slots])
        pack.epoch = saved.epoch
        pack.state = {name: value.index_select(0, index) for name, value in saved.state.items()}
        return pack

    def saved(self) -> Saved:
        """Return what `restored` continues from, on the CPU."""
        state = {name: value.cpu().clone() for name, value in self.state.items()}
        return Saved(self.epoch, [(slot.trial, slot.replicate) for slot in self.slots], state)

    @classmethod
    def gather(cls, packs: Sequence[Pack], keep: Sequence[tuple[int, int]]) -> Pack:
        """Return one pack of the slots `keep`, (pack, slot) indices into `packs`, which have one program and epoch."""
        return cls._gathered(packs, [dict(pack.state) for pack in packs], [keep])[0]

    @classmethod
    def regroup(cls, packs: Sequence[Pack], parts: Sequence[Sequence[tuple[int, int]]]) -> list[Pack]:
        """Return a pack for each part, as `gather` does; the old packs can't be used any more.

        This compacts packs: slots that are free are dropped, and the rest of several packs becomes one. If the device
        has no room for that, the new packs are on the CPU until they train.
        """
        places = {pack.state["theta"].device for pack in packs}
        # Where some packs have left the device, there may be no room for all.
        where = next(iter(places)) if len(places) == 1 else torch.device("cpu")
        for pack in packs:
            pack.rest(where)
        return cls._gathered(packs, [pack.state for pack in packs], parts)

    @classmethod
    def _gathered(
        cls,
        packs: Sequence[Pack],
        states: Sequence[dict[str, Tensor]],
        parts: Sequence[Sequence[tuple[int, int]]],
    ) -> list[Pack]:
        """Regroup; take each tensor out of `states` once it is gathered, so that few tensors are in memory twice."""
        first = packs[0]
        common = first.program, first.batches, first.epoch
        if any((pack.program, pack.batches, pack.epoch) != common for pack in packs):
            raise ValueError("packs of several programs, folds or epochs cannot be gathered into one")
        gathered = []
        for part in parts:
            keep = sorted(part, key=lambda at: packs[at[0]].slots[at[1]].replicate)
            pack = cls(first.program, first.batches, [packs[p].slots[s] for p, s in keep])
            pack.epoch, pack.state = first.epoch, {}
            pack.stopped = [packs[p].slots[s] for p, s in keep if packs[p].slots[s] in packs[p].stopped]
            places = []
            for p in range(len(packs)):
                at = [place for place, (source, _) in enumerate(keep) if source == p]
                places.append(torch.tensor([at, [keep[place][1] for place in at]], dtype=torch.int64))
            gathered.append((pack, places))
        for name in list(states[0]):
            if not _has_room(name, states, gathered):
                for state in (*states, *(pack.state for pack, _ in gathered)):
                    state |= {other: value.cpu() for other, value in state.items()}
                _collect(name, states, gathered)
            for state in states:
                del state[name]
        return [pack for pack, _ in gathered]

    def weights(self, slot: int) -> dict[str, Tensor]:
        """Return the weights with which a slot is evaluated, named and shaped as by `torch.nn.Sequential`.

        They are its present ones, or their average; of several averages, the last one (`Layout.unpack`).
        """
        return self.program.layout.unpack(averages.evaluated(self.program, self.state)[-1]["theta"][slot])

    def plain_weights(self, slot: int) -> list[dict[str, Tensor]]:
        """Return the layers of each network that predicts for a slot: `search.train.plain.plain_weights`.

        It is one network, unless a technique keeps several averages of the weights, or several networks share them.
        """
        state = {name: value.to(self.batches.device) for name, value in self.state.items()}
        return [
            network
            for one in averages.evaluated(self.program, state)
            for network in plain_weights(self.program, self.batches, one, self._replicates, slot)
        ]

    def predict_plainly(self, networks: Sequence[Mapping[str, Tensor]], x: Tensor) -> Tensor:
        """Return what networks of `plain_weights` predict for their slot, ``rows x outputs``.

        That is what `predict` returns, unless a technique does more in evaluation than its `affine` hook says.

        Args:
            networks: the layers of each network of a slot.
            x: the inputs, ``rows x padded features``.
        """
        program, layout = self.program, self.program.layout
        each = [
            PlainNetwork.of(tensors, layout.widths, program.activation, program.joined, layout.branches).forward(
                x[:, : layout.features]
            )
            for tensors in networks
        ]
        classes = self.batches.task == "classification"
        return each[0] if len(each) == 1 else averages.together(each, self.batches.outputs, classes=classes)

    def rest(self, device: torch.device | str) -> None:
        """Free what only training needs, such as the gradient, and move the state to a device."""
        if self._trainer is not None:
            self._trainer.close()
        self._trainer = None
        self.state = {name: value.to(device) for name, value in self.state.items()}

    @property
    def _training(self) -> Trainer:
        if self._trainer is None:
            self.rest(self.batches.device)
            self._trainer = Trainer(self.program, self.batches, self.state, self._replicates, self.epoch)
        return self._trainer

    def run_epoch(self) -> dict[str, Tensor]:
        """Train every slot for one epoch and return its metrics: name to float64 ``(slots,)`` on the CPU."""
        with products(self.program.precision, self.batches.device):
            measured = self._training.run_epoch()
        self.epoch += 1
        # This is the only copy to the CPU in an epoch: only here does the host wait for a GPU.
        table = torch.stack([*measured.values(), self.state["stopped"].double()]).cpu()
        self.stopped = [slot for slot, stopped in zip(self.slots, table[-1].tolist(), strict=True) if stopped]
        return dict(zip(measured, table, strict=False))

    def score(self, x: Tensor, y: Targets) -> tuple[Tensor, Tensor]:
        """Return mean loss and accuracy (or root mean squared error in the user's units), ``(slots,)`` each.

        Args:
            x: the inputs, ``examples x padded features``.
            y: their targets.
        """
        with products(self.program.precision, self.batches.device):
            return self._training.evaluator.score(x, y)

    def predict(self, x: Tensor, number: int | None = None) -> Tensor:
        """Return predictions ``slots x examples x padded outputs`` of the present weights.

        Args:
            x: the inputs, ``examples x padded features``.
            number: the number of a Monte Carlo pass; None for evaluation, without noise.
        """
        with products(self.program.precision, self.batches.device):
            return self._training.evaluator.predict(x, number)


def _has_room(name: str, states: Sequence[Mapping[str, Tensor]], gathered: Sequence[tuple[Pack, _Places]]) -> bool:
    """Do what `_collect` does; return False if the device has no room for it."""
    try:
        _collect(name, states, gathered)
    except torch.OutOfMemoryError:
        return False
    return True


def _collect(name: str, states: Sequence[Mapping[str, Tensor]], gathered: Sequence[tuple[Pack, _Places]]) -> None:
    """Collect a tensor of each pack from those of others.

    Args:
        name: the name of the tensor.
        states: the states of the other packs, all on one device.
        gathered: the packs, each with the places of its slots.
    """
    like = states[0][name]
    for pack, places in gathered:
        # Each slot is copied straight to its place; concatenating all packs first would take the memory twice.
        collected = like.new_empty((len(pack.slots), *like.shape[1:]))
        for state, table in zip(states, places, strict=True):
            new, old = table.to(like.device)
            collected.index_copy_(0, new, state[name].index_select(0, old))
        pack.state[name] = collected
