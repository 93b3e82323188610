"""Packs wait on a GPU while it has room for them. The GPU is simulated: an account of bytes, and packs without any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.packs import STRUCTURE

from search.errors import EnvironmentFault
from search.train import cohort
from search.train.cohort import Cohort
from search.train.member import Member
from search.train.room import Room

REST, TRAINING = 10, 40
"""The bytes of a slot that waits, and of one that trains."""


class Gpu:
    """The memory of a device: what each pack takes, and the most that was taken at once, ever and since `reset`."""

    def __init__(self, size: int) -> None:
        self.size, self.most, self.peak, self.moves = size, 0, 0, 0
        self.taken: dict[object, int] = {}

    @property
    def used(self) -> int:
        return sum(self.taken.values())

    def reset(self) -> None:
        self.peak = self.used

    def take(self, pack: object, count: int) -> None:
        used = self.used - self.taken.get(pack, 0) + count
        self.peak = max(self.peak, min(used, self.size))
        if used > self.size:
            raise torch.OutOfMemoryError("no room")
        self.taken[pack] = count
        self.most = max(self.most, used)


class FakePack:
    """A pack of which only the bytes are real; its state says where it is."""

    gpu: Gpu

    def __init__(self, program: Any, batches: Any, slots: Sequence[Any]) -> None:
        self.program, self.batches, self.slots = program, batches, list(slots)
        self.epoch, self.stopped = 0, []
        self.state: dict[str, Any] = {}

    def run_epoch(self) -> dict[str, torch.Tensor]:
        self.gpu.moves += bool(self.state) and self.state["theta"].device.type == "cpu"
        self.gpu.take(self, TRAINING * len(self.slots))
        self.state = self._on(torch.device("cuda", 0))
        self.epoch += 1
        return {"val_loss": torch.full((len(self.slots),), float(self.epoch), dtype=torch.float64)}

    def rest(self, device: torch.device | str) -> None:
        where = torch.device(device)
        self.gpu.take(self, REST * len(self.slots) if self.state and where.type == "cuda" else 0)
        if self.state:
            self.state = self._on(where)

    def _on(self, device: torch.device) -> dict[str, Any]:
        return {"theta": SimpleNamespace(device=device, nbytes=REST * len(self.slots))}


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A function that returns the account of a GPU of so many bytes, on which a cohort of ten packs trains."""

    def train(size: int, slots: int = 2) -> tuple[Gpu, Cohort, list[Member]]:
        gpu = FakePack.gpu = Gpu(size)
        for name, found in {
            "mem_get_info": lambda _device: (gpu.size - gpu.used, gpu.size),
            "memory_reserved": lambda _device: gpu.used,
            "memory_allocated": lambda _device: gpu.used,
            "max_memory_allocated": lambda _device: gpu.peak,
            "reset_peak_memory_stats": lambda _device: gpu.reset(),
        }.items():
            monkeypatch.setattr(torch.cuda, name, found)
        monkeypatch.setattr(cohort, "Pack", FakePack)
        # Nothing here has memory to free, and each collection would go through the objects of all tests before.
        monkeypatch.setattr(cohort, "gc", SimpleNamespace(collect=lambda: 0))
        monkeypatch.setattr(cohort, "slot_work", lambda _program, _batches: 1.0)
        batches: Any = SimpleNamespace(device=torch.device("cuda"), folds=(None,), fold=lambda _replicate: 0)
        batches.of = lambda _replicate: batches
        programs: list[Any] = [
            SimpleNamespace(epochs=4, structure=STRUCTURE, own=lambda data, _replicate=0: data) for _ in range(10)
        ]
        made = [Member(n, programs[n // slots], {}, 1) for n in range(10 * slots)]
        trained = Cohort(made, batches, 100)
        for rung in (1, 2, 4):
            list(trained.advance(rung))
        return gpu, trained, made

    return train


def test_packs_stay_where_all_fit(simulated: Any) -> None:
    """Ten packs at rest take 200 bytes, and one of them 80 in training."""
    gpu, trained, made = simulated(290)
    assert gpu.moves == 0
    assert gpu.most == 260
    assert not trained.training
    assert all(member.epoch == 4 for member in made)


def test_packs_wait_in_the_hosts_memory_where_they_do_not_fit(simulated: Any) -> None:
    gpu, trained, made = simulated(150)
    assert 0 < gpu.moves < 20
    assert gpu.most <= 150
    assert trained.width == 100
    assert all(member.epoch == 4 for member in made)


def test_other_packs_make_room_before_a_pack_is_split(
    simulated: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the room was misjudged, those that wait leave, and the pack trains whole."""
    monkeypatch.setattr(Room, "is_roomy", lambda _room: True)
    gpu, trained, made = simulated(150)
    assert gpu.moves > 0
    assert trained.width == 100
    assert capsys.readouterr().err == ""
    for member in made:
        assert member.curves["val_loss"][:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_a_pack_that_is_too_large_alone_is_split(simulated: Any, capsys: pytest.CaptureFixture[str]) -> None:
    _, trained, made = simulated(70)
    assert trained.width == 1
    assert "out of memory: training continues in packs of at most 1 slots" in capsys.readouterr().err
    assert all(member.epoch == 4 for member in made)


def test_one_slot_that_is_too_large_is_the_devices_fault(simulated: Any) -> None:
    with pytest.raises(EnvironmentFault, match="no room for a single network"):
        simulated(30)


def test_packs_stay_after_one_was_split(simulated: Any) -> None:
    """What a pack took before it was split is not needed again: ten packs of six slots are 600 bytes at rest."""
    gpu, trained, _ = simulated(230, slots=6)
    assert trained.width == 3
    assert gpu.moves > 0
    roomy, trained, _ = simulated(1000, slots=6)
    assert (roomy.moves, trained.width) == (0, 100)
