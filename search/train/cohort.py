"""A cohort in training: the slots of its trials are cut into packs, which train from rung to rung.

The cut affects the time that training takes and nothing else: `cut` and the width of packs depend on the machine, the
results do not.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from search.train.batches import Batches
from search.train.crew import side_by_side, threads
from search.train.cut import cut, slot_work
from search.train.member import Member
from search.train.pack import Pack, Saved, Slot
from search.train.program import Program
from search.train.room import HOST, Room, make_room, no_room, waits_on

_Measured = tuple[Sequence[Slot], int, Mapping[str, NDArray[np.float64]], Sequence[Slot]]
"""One epoch of a pack: its slots, the epoch, their metrics ``(slots,)``, and the slots that a technique has stopped."""


class Cohort:
    """Trials that train together.

    Args:
        members: the trials, of any signatures.
        batches: the data on the device; a replicate trains on its fold of them, in the scale of its trial.
        width: the largest number of slots in a pack.
        saved: saved packs that continue training; their members have been restored.

    Attributes:
        members: the trials by number.
        packs: the packs that still train.
        width: the width as given, or less if the device had no room for it.
    """

    def __init__(self, members: Sequence[Member], batches: Batches, width: int, saved: Sequence[Saved] = ()) -> None:
        self.members = {member.number: member for member in members}
        self.width, self._workers, self._device, self._batches = width, threads(batches.device), batches.device, batches
        self._room = Room(batches.device)
        programs = {id(member.program): member.program for member in members}
        folds = range(len(batches.folds))
        self._work = {(key, k): slot_work(one, one.own(batches, k)) for key, one in programs.items() for k in folds}
        # The metrics of each replicate that has trained an epoch, by trial and epoch.
        self._pending: dict[tuple[int, int], dict[int, dict[str, float]]] = {}
        self.packs: list[Pack] = []
        for one in saved:
            trained = [Slot(trial, replicate, self.members[trial].values) for trial, replicate in one.slots]
            for chosen in self._cut(trained, workers=1):
                self.packs.append(Pack.restored(*self._common(trained[chosen[0]]), [trained[at] for at in chosen], one))
        restored = {(slot.trial, slot.replicate) for pack in self.packs for slot in pack.slots}
        slots = [
            Slot(member.number, replicate, member.values)
            for member in members
            for replicate in range(member.replicates)
            if (member.number, replicate) not in restored and replicate not in member.stopped
        ]
        for chosen in self._cut(slots):
            self.packs.append(Pack(*self._common(slots[chosen[0]]), [slots[at] for at in chosen]))

    def _common(self, slot: Slot) -> tuple[Program, Batches]:
        """Return what the slots of a pack have in common with this one."""
        program = self.members[slot.trial].program
        return program, program.own(self._batches, slot.replicate)

    def _signature(self, slot: Slot) -> tuple[int, int]:
        return id(self.members[slot.trial].program), self._batches.fold(slot.replicate)

    def _cut(self, slots: Sequence[Slot], workers: int | None = None) -> list[list[int]]:
        signed = [(self._signature(slot), slot) for slot in slots]
        work = {key: self._work[key] * self.members[slot.trial].program.epochs for key, slot in signed}
        return cut(signed, self.width, workers or self._workers, work)

    @property
    def training(self) -> bool:
        """Whether any trial still trains."""
        return bool(self.packs)

    def advance(self, epoch: int) -> Generator[list[Member]]:
        """Train every pack to an epoch; after each epoch of a pack, yield the trials that have just completed one."""
        # The longest packs come first, so that no worker starts one when the others end.
        order = sorted(range(len(self.packs)), key=lambda at: self._left(self.packs[at], epoch), reverse=True)
        jobs = [partial(self._train, at, epoch) for at in order]
        with closing(side_by_side(jobs, self._workers)) as trained:
            for slots, reached, measured, stopped in trained:
                yield from self._record(slots, reached, measured, stopped)
        self.drop(())

    def _train(self, at: int, epoch: int, known: int = 0) -> Iterator[_Measured]:
        """Train one pack to an epoch, in any thread; yield its metrics for the epochs after `known`.

        Trials end in another thread, the one that records them. So the epoch at which a pack is shrunk may vary from
        run to run; the results of its slots do not.
        """
        last = min(epoch, self.packs[at].program.epochs)
        # The others have trained beside it before.
        stays = waits_on(self.packs[at], self._device)
        self._room.begin()
        while self.packs[at].epoch < last and (alive := self._alive(self.packs[at])):
            pack = self.packs[at] = self._shrunk(self.packs[at], alive)
            if isinstance(measured := _measured(pack), str):
                yield from self._again(at, epoch, max(known, pack.epoch), measured)
                return
            if pack.epoch > known:
                yield pack.slots, pack.epoch, {name: values.numpy() for name, values in measured.items()}, pack.stopped
        pack = self.packs[at]
        if pack.epoch == pack.program.epochs or not self._alive(pack):
            # `drop` takes the pack out once all packs have come this far; others may need its memory before.
            pack.state = {}
        self._lay_down(pack, stays)

    def _left(self, pack: Pack, epoch: int) -> float:
        """Return the work that is left of a pack until an epoch."""
        return (
            self._work[self._signature(pack.slots[0])]
            * len(pack.slots)
            * (min(epoch, pack.program.epochs) - pack.epoch)
        )

    def _lay_down(self, pack: Pack, stays: bool = False) -> None:
        """Free what only training needs; a pack leaves the device if others may need the room.

        The only pack of a cohort stays, and so do all while the device is roomy.
        """
        pack.rest(self._device if waits_on(pack, self._device) else HOST)
        self._room.end(pack)
        if not (stays or len(self.packs) == 1 or self._room.is_roomy()):
            pack.rest(HOST)

    def _again(self, at: int, epoch: int, known: int, fault: str) -> Iterator[_Measured]:
        """Train a pack for which the device has no room, once others have left it, or in two halves.

        Training starts from the beginning: the epoch that failed may have changed some of the state, and a slot is a
        pure function, so its epochs come out the same.
        """
        pack = self.packs[at]
        slots = [pack.slots[i] for i in self._alive(pack)]
        # The trainer holds the tensors of the state too. All must be gone before the slots are trained anew.
        pack.state = {}
        pack.rest(HOST)
        gc.collect()
        parts = [slots]
        if not make_room((one for one in self.packs if one is not pack), self._device):
            if len(slots) == 1:
                raise no_room(pack.program, fault)
            # Compaction and later cohorts keep to this width.
            half = len(slots) // 2
            parts = [slots[:half], slots[half:]]
            self.width = min(self.width, half)
            print(f"out of memory: training continues in packs of at most {self.width} slots", file=sys.stderr)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        first, *rest = (Pack(pack.program, pack.batches, part) for part in parts)
        self.packs[at] = first
        self.packs += rest
        yield from self._train(at, epoch, known)
        for other in rest:
            yield from self._train(self.packs.index(other), epoch, known)

    def drop(self, numbers: Collection[int]) -> None:
        """Take out these trials and all that have ended, and cut the rest into packs anew."""
        for number in numbers:
            self.members[number].ended = True
        # A pack whose trials have all ended may be at another epoch than the rest.
        packs = [pack for pack in self.packs if self._alive(pack)]
        alive = [(pack, i) for pack in packs for i in self._alive(pack)]
        parts: dict[tuple[int, int], list[list[tuple[Pack, int]]]] = {}
        for chosen in self._cut([pack.slots[i] for pack, i in alive]):
            pack, i = alive[chosen[0]]
            parts.setdefault(self._signature(pack.slots[i]), []).append([alive[at] for at in chosen])
        self.packs = []
        for signature, anew in parts.items():
            own = [pack for pack in packs if self._signature(pack.slots[0]) == signature]
            as_before = len(own) == len(anew) and sum(len(pack.slots) for pack in own) == sum(map(len, anew))
            # Restored packs may be ahead of others.
            if as_before or len({pack.epoch for pack in own}) > 1:
                self.packs += own
                continue
            if len(own) > 1 and not self._room.is_roomy():
                make_room(own, self._device)
            self.packs += Pack.regroup(own, [[(own.index(pack), i) for pack, i in part] for part in anew])

    def _alive(self, pack: Pack) -> list[int]:
        members = [self.members[slot.trial] for slot in pack.slots]
        return [
            i
            for i, (slot, member) in enumerate(zip(pack.slots, members, strict=True))
            if not member.ended and slot.replicate not in member.stopped
        ]

    def _shrunk(self, pack: Pack, alive: Sequence[int]) -> Pack:
        """Return the pack without the trials that have ended, once these are a quarter of its slots."""
        if len(alive) * 4 > len(pack.slots) * 3:
            return pack
        return Pack.regroup([pack], [[(0, i) for i in alive]])[0]

    def _record(
        self, slots: Sequence[Slot], epoch: int, measured: Mapping[str, NDArray[np.float64]], stopped: Sequence[Slot]
    ) -> Iterator[list[Member]]:
        """Record one epoch of a pack; yield the trials of which it completes an epoch, once for each such epoch."""
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
        # A stop may complete several epochs of a trial: those for which its other replicates are ahead.
        while completed := [member for member in dict.fromkeys(concerned) if self._complete(member, now)]:
            yield completed

    def _complete(self, member: Member, now: int) -> bool:
        """Complete a trial's next epoch if each of its replicates has trained it or was stopped before it."""
        key = member.number, member.epoch + 1
        trained = self._pending.get(key, {})
        metrics = {replicate: last for replicate, (_, last) in member.stopped.items()} | trained
        if member.ended or not trained or len(metrics) < member.replicates:
            return False
        del self._pending[key]
        member.add_epoch(metrics, now)
        # Packs are not equally fast, so a stop counts from its own epoch on, not from when it became known.
        going = [r for r in range(member.replicates) if member.stopped.get(r, (member.epoch + 1,))[0] > member.epoch]
        finite = np.isfinite(member.curves["val_loss"][-1][going]).any()
        member.ended = not finite or member.epoch == member.program.epochs
        return True


def _measured(pack: Pack) -> dict[str, torch.Tensor] | str:
    """Train a pack for an epoch and return its metrics, or torch's message if the device has no room for it.

    This is a function of its own because the exception keeps the tensors of its frames alive until it is handled.
    """
    try:
        return pack.run_epoch()
    except torch.OutOfMemoryError as error:
        return str(error)
