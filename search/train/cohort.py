"""A cohort in training: its trials' slots, cut into packs, taken from rung to rung.

How it is cut changes nothing but the time it takes: `cut` and the packs' widths follow the machine, results do not.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from search.train.batches import Batches
from search.train.crew import side_by_side, threads
from search.train.pack import Pack, Slot
from search.train.program import Program

_Measured = tuple[Sequence[Slot], int, Mapping[str, NDArray[np.float64]]]


@dataclass
class Member:
    """One trial in training.

    Attributes:
        number: the trial's number.
        program: shared by all trials of its signature.
        values: its numeric hyperparameters.
        replicates: how many.
        curves: per metric, one array ``(replicates,)`` per epoch.
        times: the end of each epoch, ms since the Unix epoch.
        ended: whether it trains no more: all its epochs are done, or no replicate is finite any more.
    """

    number: int
    program: Program
    values: Mapping[str, float]
    replicates: int
    curves: dict[str, list[NDArray[np.float64]]] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    ended: bool = False

    @property
    def epoch(self) -> int:
        """Epochs that all its replicates have trained."""
        return len(self.times)

    def table(self) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """The metrics' names and their curves, ``metrics x replicates x epochs``, in the precision of the record."""
        names = tuple(self.curves)
        values = np.array([self.curves[name] for name in names], dtype=np.float32)
        return names, values.transpose(0, 2, 1)


def cut(slots: Sequence[tuple[int, Slot]], width: int, workers: int = 1) -> list[list[int]]:
    """Which slots train together: indices into `slots`, one signature a pack, every slot in one pack.

    Args:
        slots: (signature, slot) each.
        width: the most slots of a pack.
        workers: how many packs train side by side: a signature is cut into as many, of two slots or more each.

    Packs of a signature are as even as can be: a last pack of one slot would be wasteful.
    """
    packs = []
    for signature in dict.fromkeys(signature for signature, _ in slots):
        members = [i for i, (other, _) in enumerate(slots) if other == signature]
        members.sort(key=lambda i: slots[i][1].replicate)
        count = max(-(-len(members) // width), min(workers, len(members) // 2))
        edges = [len(members) * at // count for at in range(count + 1)]
        packs += [members[start:stop] for start, stop in pairwise(edges)]
    return packs


class Cohort:
    """Trials that train together.

    Args:
        members: the trials, of any signatures.
        batches: the data on the device.
        width: the most slots of a pack.
    """

    def __init__(self, members: Sequence[Member], batches: Batches, width: int) -> None:
        self.members = {member.number: member for member in members}
        self._width, self._workers = width, threads(batches.device)
        # By trial and epoch, of the replicates that have trained it: their metrics.
        self._pending: dict[tuple[int, int], dict[int, dict[str, float]]] = {}
        programs = list({id(member.program): member.program for member in members}.values())
        index = {id(program): at for at, program in enumerate(programs)}
        slots = [
            (index[id(member.program)], Slot(member.number, replicate, member.values))
            for member in members
            for replicate in range(member.replicates)
        ]
        self._packs = [
            Pack(programs[slots[chosen[0]][0]], batches, [slots[i][1] for i in chosen])
            for chosen in cut(slots, width, self._workers)
        ]

    @property
    def training(self) -> bool:
        """Whether any trial still trains."""
        return bool(self._packs)

    def advance(self, epoch: int) -> Generator[list[Member]]:
        """Train every pack to an epoch; after each of its epochs, yield the trials that have just completed one."""
        jobs = [partial(self._train, at, epoch) for at in range(len(self._packs))]
        with closing(side_by_side(jobs, self._workers)) as trained:
            for slots, reached, measured in trained:
                yield self._record(slots, reached, measured)
        self.drop(())

    def _train(self, at: int, epoch: int) -> Iterator[_Measured]:
        """One pack to an epoch, in whatever thread.

        Trials end where they are recorded, in another thread: when a pack is shrunk is a matter of luck, what its
        slots come to is not.
        """
        last = min(epoch, self._packs[at].program.epochs)
        while self._packs[at].epoch < last and self._alive(self._packs[at]):
            pack = self._packs[at] = self._shrunk(self._packs[at])
            measured = pack.run_epoch()
            yield pack.slots, pack.epoch, {name: values.numpy() for name, values in measured.items()}

    def drop(self, numbers: Collection[int]) -> None:
        """Take trials out, with all that have ended, and compact the packs."""
        for number in numbers:
            self.members[number].ended = True
        kept: list[Pack] = []
        by_program: dict[int, list[Pack]] = {}
        for pack in self._packs:
            by_program.setdefault(id(pack.program), []).append(pack)
        for program_packs in by_program.values():
            # A pack whose trials have all ended has stopped at an epoch of its own.
            packs = [pack for pack in program_packs if self._alive(pack)]
            alive = [(p, s) for p, pack in enumerate(packs) for s in self._alive(pack)]
            if sum(len(pack.slots) for pack in packs) == len(alive):
                kept += packs
                continue
            slots = [(0, packs[p].slots[s]) for p, s in alive]
            kept += [
                Pack.gather(packs, [alive[i] for i in chosen]) for chosen in cut(slots, self._width, self._workers)
            ]
        self._packs = kept

    def _alive(self, pack: Pack) -> list[int]:
        return [i for i, slot in enumerate(pack.slots) if not self.members[slot.trial].ended]

    def _shrunk(self, pack: Pack) -> Pack:
        """The pack without trials that ended by themselves, once they waste a quarter of it."""
        alive = self._alive(pack)
        if len(alive) * 4 > len(pack.slots) * 3:
            return pack
        return Pack.gather([pack], [(0, i) for i in alive])

    def _record(self, slots: Sequence[Slot], epoch: int, measured: Mapping[str, NDArray[np.float64]]) -> list[Member]:
        """File a pack's epoch; a trial's epoch is complete when its last replicate has trained it."""
        now = time.time_ns() // 1_000_000
        completed = []
        for i, slot in enumerate(slots):
            member = self.members[slot.trial]
            if member.ended:
                continue
            waiting = self._pending.setdefault((slot.trial, epoch), {})
            waiting[slot.replicate] = {name: float(values[i]) for name, values in measured.items()}
            if len(waiting) == member.replicates:
                del self._pending[slot.trial, epoch]
                for name in measured:
                    row = np.array([waiting[r][name] for r in range(member.replicates)])
                    member.curves.setdefault(name, []).append(row)
                member.times.append(now)
                finite = np.isfinite(member.curves["val_loss"][-1]).any()
                member.ended = not finite or member.epoch == member.program.epochs
                completed.append(member)
        return completed
