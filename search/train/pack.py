"""A pack: slots of one signature, training in lockstep as one batched network; `trainer` has the steps.

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

from search.train.batches import Batches
from search.train.initial import initial_weights
from search.train.precision import products
from search.train.program import Program
from search.train.trainer import Trainer
from search.train.values import own, stand


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
        self.state: dict[str, Tensor] = {}
        for name in program.numeric:
            given = [self.slots[i].values[name] for i in rows]
            self.state[f"values/{name}"] = torch.tensor(given, dtype=dtype, device=device)
        replicates = [self.slots[i].replicate for i in rows]
        moment, techniques = stand(program, batches, self.state, replicates)
        theta = initial_weights(program, replicates, techniques, moment.lr)
        self.state |= {f"optimiser/{name}": one for name, one in program.optimiser.init(theta, moment.numeric).items()}
        for technique, values in zip(program.techniques, techniques, strict=True):
            if technique.start is not None:
                self.state |= {f"{own(technique.name)}/{name}": one for name, one in technique.start(values).items()}
        self.state["theta"] = theta
        self.state["best"] = theta.clone()
        self.state["best_loss"] = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=device)
        self.state["stopped"] = torch.zeros(len(rows), dtype=torch.bool, device=device)
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
        rows = _arrange(pack.slots)
        places = []
        for p, other in enumerate(packs):
            at = [place for place, i in enumerate(rows) if keep[i][0] == p]
            old = [other._rows[keep[rows[place]][1]] for place in at]
            table = torch.tensor([at, old], dtype=torch.int64, device=first.batches.device)
            places.append((table[0], table[1]))
        pack.state = {}
        for name, like in first.state.items():
            # Each row straight to its place: all packs one after another would be there a second time.
            collected = like.new_empty((len(rows), *like.shape[1:]))
            for other, (at_rows, old_rows) in zip(packs, places, strict=True):
                collected.index_copy_(0, at_rows, other.state[name].index_select(0, old_rows))
            pack.state[name] = collected
        pack._settle(rows)
        return pack

    def _settle(self, rows: Sequence[int]) -> None:
        """Build what follows from the state: which row shows each slot, and what trains the rows."""
        self._rows = [rows.index(slot) for slot in range(len(self.slots))]
        self._index = torch.tensor(self._rows, device=self.batches.device)
        replicates = [self.slots[i].replicate for i in rows]
        self._trainer = Trainer(self.program, self.batches, self.state, replicates, self.epoch)

    def weights(self, slot: int, *, best: bool = True) -> dict[str, Tensor]:
        """A slot's weights as `torch.nn.Sequential` of Linear and activation would name them."""
        return self.program.layout.unpack(self.state["best" if best else "theta"][self._rows[slot]])

    @property
    def stopped(self) -> list[Slot]:
        """The slots that a technique has stopped; they are to be taken out."""
        flags = self.state["stopped"][self._index].tolist()
        return [slot for slot, stopped in zip(self.slots, flags, strict=True) if stopped]

    def run_epoch(self) -> dict[str, Tensor]:
        """Train every slot for one epoch and measure it: metric name to float64 ``(slots,)`` on the CPU."""
        with products(self.program.precision, self.batches.device):
            measured = self._trainer.run_epoch()
        self.epoch += 1
        names = list(measured)
        table = torch.stack([measured[name] for name in names])[:, self._index].cpu()
        return dict(zip(names, table, strict=True))

    def score(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mean loss and accuracy (or root mean squared error in the user's units) on some rows, by row of the state.

        Args:
            x: ``examples x padded features``; y: ``examples x padded outputs``.
        """
        return self._trainer.score(x, y)

    def predict(self, x: Tensor, number: int | None = None) -> Tensor:
        """Predictions ``slots x examples x padded outputs`` of the present weights, or of one Monte Carlo pass.

        Args:
            x: ``examples x padded features``.
            number: of the pass; None for evaluation, without noise.
        """
        return self._trainer.predict(x, number)[self._index]


def _arrange(slots: Sequence[Slot]) -> list[int]:
    """Which slot each row of the state holds: slots sorted by replicate, one that is alone with its replicate twice."""
    rows: list[int] = []
    for index, slot in enumerate(slots):
        alone = sum(other.replicate == slot.replicate for other in slots) == 1
        rows += [index, index] if alone else [index]
    return rows
