"""A cohort in training: its trials' slots, cut into packs, taken from rung to rung.

How it is cut changes nothing but the time it takes: `cut` and the packs' widths follow the machine, results do not.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from search.train.batches import Batches
from search.train.crew import side_by_side, threads
from search.train.pack import Pack, Saved, Slot
from search.train.program import Program

_Measured = tuple[Sequence[Slot], int, Mapping[str, NDArray[np.float64]], Sequence[Slot]]
"""A pack's epoch: its slots, the epoch, what was measured of each, and those that a technique has stopped."""


@dataclass(eq=False)
class Member:
    """One trial in training.

    Attributes:
        number: the trial's number.
        program: shared by all trials of its signature.
        values: its numeric hyperparameters.
        replicates: how many.
        times: the end of each epoch, ms since the Unix epoch.
        stopped: the replicates that a technique has stopped: at which epoch, and the metrics of that epoch, which
            stand for its later ones while other replicates still train.
        ended: whether it trains no more: all its epochs are done, or every replicate is stopped or not finite.
    """

    number: int
    program: Program
    values: Mapping[str, float]
    replicates: int
    times: list[int] = field(default_factory=list)
    stopped: dict[int, tuple[int, Mapping[str, float]]] = field(default_factory=dict)
    ended: bool = False
    # By metric; room for all epochs, of which a computer gives out only what is written.
    _curves: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]:
        """By metric, ``epochs x replicates``."""
        return {name: curve[: self.epoch] for name, curve in self._curves.items()}

    def add_epoch(self, metrics: Mapping[int, Mapping[str, float]], time: int) -> None:
        """The metrics of each replicate in the next epoch, and when it ended."""
        for name in metrics[0]:
            if name not in self._curves:
                self._curves[name] = np.empty((self.program.epochs, self.replicates))
            self._curves[name][self.epoch] = [metrics[replicate][name] for replicate in range(self.replicates)]
        self.times.append(time)

    def restore(
        self,
        curves: Mapping[str, NDArray[np.float64]],
        times: Sequence[int],
        stopped: Mapping[int, tuple[int, Mapping[str, float]]],
    ) -> None:
        """Be where it was when these were its `curves`, `times` and `stopped`."""
        self.times, self.stopped = list(times), dict(stopped)
        for name, curve in curves.items():
            self._curves[name] = np.empty((self.program.epochs, self.replicates))
            self._curves[name][: len(curve)] = curve

    @property
    def epoch(self) -> int:
        """Epochs that all its replicates have trained."""
        return len(self.times)

    def table(self) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """The metrics' names and their curves, ``metrics x replicates x epochs``, in the precision of the record."""
        curves = self.curves
        values = np.array(list(curves.values()), dtype=np.float32)
        return tuple(curves), values.transpose(0, 2, 1)


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
        saved: packs that go on from where they were saved; their members have been restored.

    Attributes:
        members: by number.
        packs: what still trains.
        width: as given, or less where the device has no room for so many.
    """

    def __init__(self, members: Sequence[Member], batches: Batches, width: int, saved: Sequence[Saved] = ()) -> None:
        self.members = {member.number: member for member in members}
        self.width, self._workers, self._device = width, threads(batches.device), batches.device
        # By trial and epoch, of the replicates that have trained it: their metrics.
        self._pending: dict[tuple[int, int], dict[int, dict[str, float]]] = {}
        self.packs = [pack for one in saved for pack in self._restored(one, batches)]
        there = {(slot.trial, slot.replicate) for pack in self.packs for slot in pack.slots}
        slots = [
            Slot(member.number, replicate, member.values)
            for member in members
            for replicate in range(member.replicates)
            if (member.number, replicate) not in there and replicate not in member.stopped
        ]
        for chosen in self._cut(slots, self._workers):
            self.packs.append(Pack(self.members[chosen[0].trial].program, batches, chosen))

    def _restored(self, saved: Saved, batches: Batches) -> list[Pack]:
        slots = [Slot(trial, replicate, self.members[trial].values) for trial, replicate in saved.slots]
        return [
            Pack.restored(self.members[chosen[0].trial].program, batches, chosen, saved)
            for chosen in self._cut(slots, 1)
        ]

    def _cut(self, slots: Sequence[Slot], workers: int) -> list[list[Slot]]:
        programs = list({id(self.members[slot.trial].program): None for slot in slots})
        signed = [(programs.index(id(self.members[slot.trial].program)), slot) for slot in slots]
        return [[slots[i] for i in chosen] for chosen in cut(signed, self.width, workers)]

    @property
    def training(self) -> bool:
        """Whether any trial still trains."""
        return bool(self.packs)

    def advance(self, epoch: int) -> Generator[list[Member]]:
        """Train every pack to an epoch; after each of its epochs, yield the trials that have just completed one."""
        jobs = [partial(self._train, at, epoch) for at in range(len(self.packs))]
        with closing(side_by_side(jobs, self._workers)) as trained:
            for slots, reached, measured, stopped in trained:
                yield from self._record(slots, reached, measured, stopped)
        self.drop(())

    def _train(self, at: int, epoch: int, known: int = 0) -> Iterator[_Measured]:
        """One pack to an epoch, in whatever thread; up to the epoch `known` its measurements are there already.

        Trials end where they are recorded, in another thread: when a pack is shrunk is a matter of luck, what its
        slots come to is not.
        """
        last = min(epoch, self.packs[at].program.epochs)
        while self.packs[at].epoch < last and (alive := self._alive(self.packs[at])):
            pack = self.packs[at] = self._shrunk(self.packs[at], alive)
            if (measured := _measured(pack)) is None:
                yield from self._split(at, epoch, max(known, pack.epoch))
                return
            if pack.epoch > known:
                yield pack.slots, pack.epoch, {name: values.numpy() for name, values in measured.items()}, pack.stopped
        pack = self.packs[at]
        if pack.epoch == pack.program.epochs or not self._alive(pack):
            # `drop` takes it out when all packs are here; by then others may want its memory.
            pack.state.clear()
        # One pack at a time is on a GPU; a lone one stays there.
        pack.rest("cpu" if len(self.packs) > 1 else self._device)

    def _split(self, at: int, epoch: int, known: int) -> Iterator[_Measured]:
        """The device has no room for a pack: train half of it, then the other half, each from its beginning.

        The epoch that was cut off has changed some of the state; a slot is a pure function, so it comes back to it.
        """
        pack = self.packs[at]
        slots = [pack.slots[i] for i in self._alive(pack)]
        # Later cohorts, and what is compacted, keep to this width.
        half = len(slots) // 2
        self.width = min(self.width, half)
        print(f"out of memory: training goes on in packs of at most {self.width} slots", file=sys.stderr)
        pack.state.clear()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        first, second = (Pack(pack.program, pack.batches, part) for part in (slots[:half], slots[half:]))
        self.packs[at] = first
        self.packs.append(second)
        yield from self._train(at, epoch, known)
        yield from self._train(self.packs.index(second), epoch, known)

    def drop(self, numbers: Collection[int]) -> None:
        """Take trials out, with all that have ended, and compact the packs."""
        for number in numbers:
            self.members[number].ended = True
        kept: list[Pack] = []
        by_program: dict[int, list[Pack]] = {}
        for pack in self.packs:
            by_program.setdefault(id(pack.program), []).append(pack)
        for program_packs in by_program.values():
            # A pack whose trials have all ended has stopped at an epoch of its own.
            packs = [pack for pack in program_packs if self._alive(pack)]
            alive = [(p, s) for p, pack in enumerate(packs) for s in self._alive(pack)]
            if sum(len(pack.slots) for pack in packs) == len(alive):
                kept += packs
                continue
            slots = [(0, packs[p].slots[s]) for p, s in alive]
            parts = [[alive[i] for i in chosen] for chosen in cut(slots, self.width, self._workers)]
            kept += Pack.regroup(packs, parts) if parts else []
        self.packs = kept

    def _alive(self, pack: Pack) -> list[int]:
        members = [self.members[slot.trial] for slot in pack.slots]
        return [
            i
            for i, (slot, member) in enumerate(zip(pack.slots, members, strict=True))
            if not member.ended and slot.replicate not in member.stopped
        ]

    def _shrunk(self, pack: Pack, alive: Sequence[int]) -> Pack:
        """The pack without trials that ended by themselves, once they waste a quarter of it."""
        if len(alive) * 4 > len(pack.slots) * 3:
            return pack
        return Pack.regroup([pack], [[(0, i) for i in alive]])[0]

    def _record(
        self, slots: Sequence[Slot], epoch: int, measured: Mapping[str, NDArray[np.float64]], stopped: Sequence[Slot]
    ) -> Iterator[list[Member]]:
        """File a pack's epoch, and yield the trials that it completes an epoch of, as often as it does."""
        now = time.time_ns() // 1_000_000
        concerned = []
        for i, slot in enumerate(slots):
            member = self.members[slot.trial]
            if member.ended or slot.replicate in member.stopped:
                continue
            metrics = {name: float(values[i]) for name, values in measured.items()}
            self._pending.setdefault((slot.trial, epoch), {})[slot.replicate] = metrics
            if slot in stopped:
                member.stopped[slot.replicate] = epoch, metrics
            concerned.append(member)
        # More than one where a replicate stops of which others are ahead.
        while completed := [member for member in dict.fromkeys(concerned) if self._complete(member, now)]:
            yield completed

    def _complete(self, member: Member, now: int) -> bool:
        """Close a trial's next epoch if each of its replicates has trained it or has been stopped before."""
        key = member.number, member.epoch + 1
        trained = self._pending.get(key, {})
        metrics = {replicate: last for replicate, (_, last) in member.stopped.items()} | trained
        if member.ended or not trained or len(metrics) < member.replicates:
            return False
        del self._pending[key]
        member.add_epoch(metrics, now)
        # By the epoch of each stop, not by whether it is known yet: packs are not equally fast.
        going = [r for r in range(member.replicates) if member.stopped.get(r, (member.epoch + 1,))[0] > member.epoch]
        finite = np.isfinite(member.curves["val_loss"][-1][going]).any()
        member.ended = not finite or member.epoch == member.program.epochs
        return True


def _measured(pack: Pack) -> dict[str, torch.Tensor] | None:
    """What an epoch of a pack measures; None where the device has no room for it, and it can be split.

    A function of its own: the error holds on to all that its frames do, until it is left.
    """
    try:
        return pack.run_epoch()
    except torch.OutOfMemoryError:
        if len(pack.slots) < 2:
            raise
        return None
