"""The cut of a cohort into packs affects no result, and neither does a device that is full."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.packs import adam, make_pack

from search.data import Data
from search.errors import EnvironmentFault
from search.train import cohort as cohort_module
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.crew import side_by_side
from search.train.member import Member
from search.train.pack import Pack, Slot

MakeData = Callable[..., Data]


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of torch's threads, and so of packs that train side by side, for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def members(make_data: MakeData, replicates: int) -> tuple[list[Member], Batches]:
    data = make_data(70, 5, 3)
    short = make_pack(data, [adam()], epochs=2)
    long = make_pack(data, [adam()], epochs=5, hidden="20")
    # The first two diverge at once, so a pack of these two alone stops before the others.
    rates = [1e30, 1e30, *(1e-3 * (n + 1) for n in range(2, 7))]
    made = [Member(n, (long if n % 3 else short).program, adam(lr), replicates) for n, lr in enumerate(rates)]
    return made, long.batches


@pytest.mark.parametrize("width", [1, 2, 5, 100])
def test_curves_do_not_depend_on_the_width(make_data: MakeData, width: int) -> None:
    reference, batches = members(make_data, 3)
    whole = Cohort(reference, batches, 1000)
    list(whole.advance(5))
    narrow, batches = members(make_data, 3)
    cohort = Cohort(narrow, batches, width)
    completed: Counter[tuple[int, int]] = Counter()
    for rung in (3, 5):
        for done in cohort.advance(rung):
            completed.update((member.number, member.epoch) for member in done)
    assert not cohort.training
    for one, other in zip(reference, narrow, strict=True):
        assert one.epoch == other.epoch == (1 if one.number < 2 else 5 if one.number % 3 else 2)
        assert one.ended
        assert other.ended
        assert one.table()[0] == other.table()[0]
        assert np.array_equal(one.table()[1], other.table()[1], equal_nan=True)
        assert one.table()[1].shape[1:] == (3, one.epoch)
    assert completed == Counter({(m.number, e): 1 for m in narrow for e in range(1, m.epoch + 1)})


def test_each_curve_is_its_replicates_own(make_data: MakeData) -> None:
    made, batches = members(make_data, 3)
    list(Cohort(made, batches, 4).advance(5))
    member = made[2]
    names, curves = member.table()
    for replicate in range(3):
        pack = Pack(member.program, batches, [Slot(0, replicate, member.values)])
        for epoch in range(5):
            measured = pack.run_epoch()
            assert [np.float32(measured[name][0]) for name in names] == curves[:, replicate, epoch].tolist()
    assert len({tuple(curve) for curve in curves[names.index("val_loss")].tolist()}) == 3


def folded(make_data: MakeData) -> Data:
    """Return data of three folds with different numbers of rows."""
    folds = [make_data(rows, 5, 3, seed=rows) for rows in (70, 71, 64)]
    return replace(folds[0], folds=tuple(folds))


@pytest.mark.parametrize("width", [1, 2, 100])
def test_each_replicate_trains_on_its_own_fold(make_data: MakeData, width: int) -> None:
    data = folded(make_data)
    batches = Batches(data)
    program = make_pack(data.folds[0], [adam()], epochs=4).program
    made = [Member(number, program, adam(1e-3 * (number + 1)), 6) for number in range(3)]
    cohort = Cohort(made, batches, width)
    list(cohort.advance(2))
    cohort.drop([1])
    list(cohort.advance(4))
    for member in (made[0], made[2]):
        names, curves = member.table()
        for replicate in range(6):
            pack = Pack(program, Batches(data.folds[replicate % 3]), [Slot(0, replicate, member.values)])
            for epoch in range(4):
                measured = pack.run_epoch()
                assert [np.float32(measured[name][0]) for name in names] == curves[:, replicate, epoch].tolist()
    assert [member.epoch for member in made] == [4, 2, 4]


def test_slots_of_two_folds_are_in_no_common_pack(make_data: MakeData) -> None:
    data = folded(make_data)
    batches = Batches(data)
    program = make_pack(data.folds[0], [adam()]).program
    packs = [Pack(program, batches.of(fold), [Slot(0, fold, adam())]) for fold in (0, 1)]
    with pytest.raises(ValueError, match="folds"):
        Pack.gather(packs, [(0, 0), (1, 0)])
    assert [fold.train_rows for fold in batches.folds] == [70, 71, 64]
    assert batches.of(4) is batches.folds[1]


def test_dropped_trials_train_no_more_and_the_others_go_on(make_data: MakeData) -> None:
    made, batches = members(make_data, 2)
    cohort = Cohort(made, batches, 3)
    list(cohort.advance(1))
    cohort.drop([2, 4])
    list(cohort.advance(5))
    assert [member.epoch for member in made] == [1, 1, 1, 2, 1, 5, 2]


def test_a_job_that_fails_is_heard_and_the_others_stop() -> None:
    finished = threading.Event()

    def fails() -> Iterator[int]:
        yield 1
        raise ArithmeticError("broken pack")

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            finished.set()

    with pytest.raises(ArithmeticError, match="broken pack"):
        for _ in side_by_side([fails, endless], 2):
            pass
    assert finished.wait(5)


def test_none_is_an_item_like_others() -> None:
    assert list(side_by_side([lambda: iter([None, 1]), lambda: iter([None])], 2)).count(None) == 2


def test_whoever_leaves_early_stops_the_jobs() -> None:
    running = threading.active_count()
    stream = side_by_side([lambda: iter(range(10**9)), lambda: iter(range(10**9))], 2)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == running


def test_packs_made_anew_from_others_use_them_up(make_data: MakeData) -> None:
    pack = make_pack(make_data(70, 5, 3), [adam(1e-3 * (n + 1)) for n in range(4)])
    pack.run_epoch()
    copy = Pack.gather([pack], [(0, 1)])
    assert pack.state
    lone, pair = Pack.regroup([pack], [[(0, 1)], [(0, 0), (0, 3)]])
    assert not pack.state
    assert [slot.trial for slot in (*lone.slots, *pair.slots)] == [1, 0, 3]
    assert torch.equal(lone.run_epoch()["val_loss"], copy.run_epoch()["val_loss"])


@pytest.fixture(params=[False, True], ids=["at once", "an epoch late"])
def late(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether metrics are read while the next epoch trains, as on a GPU."""
    monkeypatch.setattr(cohort_module, "reads_late", lambda _device: request.param)
    return bool(request.param)


@pytest.mark.parametrize("room", [2, 3])
@pytest.mark.usefixtures("late")
def test_a_pack_for_which_there_is_no_room_is_split(
    make_data: MakeData,
    room: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    threads: Callable[[int], None],
) -> None:
    """From the third epoch on the device has room for this many slots only; the curves do not change."""
    threads(1)
    reference, batches = members(make_data, 3)
    for _ in Cohort(reference, batches, 100).advance(5):
        pass
    begin_epoch = Pack.begin_epoch

    def crowded(pack: Pack) -> Any:
        if pack.epoch >= 2 and len(pack.slots) > room:
            next(iter(pack.state.values())).fill_(7)  # as if it had failed in the middle of its steps
            raise torch.OutOfMemoryError("no room")
        return begin_epoch(pack)

    monkeypatch.setattr(Pack, "begin_epoch", crowded)
    mine, _ = members(make_data, 3)
    cohort = Cohort(mine, batches, 100)
    times = [(member.number, member.epoch) for completed in cohort.advance(5) for member in completed]
    assert len(set(times)) == len(times)
    for one, other in zip(reference, mine, strict=True):
        assert one.epoch == other.epoch
        np.testing.assert_array_equal(one.table()[1], other.table()[1])
    assert cohort.width <= room
    assert "out of memory: training continues in packs of at most" in capsys.readouterr().err


def test_metrics_that_are_read_late_are_the_same_and_come_in_order(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    """The next epoch begins before the metrics of one are read, and the last ones are read before others train."""
    threads(1)
    reference, batches = members(make_data, 2)
    list(Cohort(reference, batches, 3).advance(5))
    begin_epoch, events = Pack.begin_epoch, list[tuple[str, int, int]]()

    def watched(pack: Pack) -> Callable[[], dict[str, torch.Tensor]]:
        epoch, read = pack.epoch + 1, begin_epoch(pack)
        events.append(("begun", id(pack.program), epoch))

        def reading() -> dict[str, torch.Tensor]:
            events.append(("read", id(pack.program), epoch))
            return read()

        return reading

    monkeypatch.setattr(Pack, "begin_epoch", watched)
    monkeypatch.setattr(cohort_module, "reads_late", lambda _device: True)
    mine, _ = members(make_data, 2)
    cohort = Cohort(mine, batches, 100)
    for epoch in (2, 5):
        list(cohort.advance(epoch))
    for one, other in zip(reference, mine, strict=True):
        assert one.epoch == other.epoch
        np.testing.assert_array_equal(one.table()[1], other.table()[1])
    long = [(what, epoch) for what, program, epoch in events if program == id(mine[1].program)]
    first, second = long[: long.index(("read", 2)) + 1], long[long.index(("read", 2)) + 1 :]
    assert first == [("begun", 1), ("begun", 2), ("read", 1), ("read", 2)]
    assert second == [("begun", 3), ("begun", 4), ("read", 3), ("begun", 5), ("read", 4), ("read", 5)]


def test_a_pack_whose_state_finds_no_room_is_split(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]
) -> None:
    """A state that could not be made is not made once more to be thrown away."""
    threads(1)
    mine, batches = members(make_data, 1)
    init = type(mine[0].program.optimiser).init

    def crowded(self: object, theta: torch.Tensor, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if len(values["lr"]) > 2:
            raise torch.OutOfMemoryError("no room")
        return init(self, theta, values)  # type: ignore[arg-type]

    monkeypatch.setattr(type(mine[0].program.optimiser), "init", crowded)
    cohort = Cohort(mine, batches, 100)
    list(cohort.advance(5))
    assert all(member.ended for member in mine)
    assert cohort.width <= 2


def test_the_cores_are_shared_anew_when_a_program_has_ended(
    make_data: MakeData, threads: Callable[[int], None]
) -> None:
    """Two programs of four slots are a pack each on two cores; once one is pruned, the other takes both cores."""
    threads(2)
    data = make_data(70, 5, 3)
    programs = [make_pack(data, [adam()], epochs=3, activation=name).program for name in ("relu", "tanh")]
    made = [Member(n, programs[n % 2], adam(1e-3 * (n + 1)), 1) for n in range(8)]
    cohort = Cohort(made, Batches(data), 100)
    assert [len(pack.slots) for pack in cohort.packs] == [4, 4]
    list(cohort.advance(1))
    cohort.drop([0, 2, 4, 6])
    assert [len(pack.slots) for pack in cohort.packs] == [2, 2]
    list(cohort.advance(3))
    for member in made[1::2]:
        alone = Pack(member.program, Batches(data), [Slot(0, 0, member.values)])
        assert [np.float32(alone.run_epoch()["val_loss"][0]) for _ in range(3)] == [
            np.float32(loss) for loss in member.curves["val_loss"][:, 0]
        ]


def test_where_there_is_no_room_for_one_it_is_the_devices_fault(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_pack: Pack) -> dict[str, torch.Tensor]:
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(Pack, "begin_epoch", full)
    mine, batches = members(make_data, 1)
    with pytest.raises(EnvironmentFault, match=r"no room for a single network \(hidden .*\): use a smaller .*no room"):
        list(Cohort(mine, batches, 100).advance(1))
