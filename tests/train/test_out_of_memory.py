"""When a device has no room for a pack, training goes on with smaller ones, and nothing of the old one stays."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.benches import BENCHES
from support.marks import slow
from support.packs import adam, make_pack
from torch import Tensor

from search.data import Data
from search.recipe.discovery import discover
from search.technique import Technique, Values
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.engine import Engine
from search.train.member import Member
from search.train.pack import Pack, Saved, Slot
from search.train.program import Program

MakeData = Callable[..., Data]
ROOM = 4
"""The number of slots for which there is room."""
SLOTS = 7
TECHNIQUES = [discover()[name] for name in ("batch_norm", "ema", "l2")]
VALUES = {"bn_alpha": 0.1, "ema_decay": 0.9, "l2": 1e-3}


@pytest.fixture(autouse=True)
def one_at_a_time() -> Iterator[None]:
    """Packs train one after the other, as on a GPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class _Full(torch.autograd.Function):
    """The identity, whose backward pass finds no room."""

    @staticmethod
    def forward(_ctx: Any, h: Tensor) -> Tensor:
        return h.clone()

    @staticmethod
    def backward(_ctx: Any, *_gradients: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("no room")


def layer(h: Tensor, _number: int, values: Values) -> Tensor:
    if values.slots > ROOM and values.train and values.epoch:
        raise torch.OutOfMemoryError("no room")
    return h


def layer_backward(h: Tensor, _number: int, values: Values) -> Tensor:
    return _Full.apply(h) if values.slots > ROOM and values.train and values.epoch else h  # type: ignore[no-untyped-call, no-any-return]


def project(theta: Tensor, values: Values) -> None:
    if values.slots > ROOM and values.epoch:
        theta.zero_()
        raise torch.OutOfMemoryError("no room")


def start(values: Values) -> dict[str, Tensor]:
    if values.slots > ROOM:
        raise torch.OutOfMemoryError("no room")
    return {}


PLACES = {
    "forward": {"layer": layer},
    "backward": {"layer": layer_backward},
    "update": {"project": project},
    "state": {"start": start},
}


def program_of(data: Data, engine: Engine = "compiled", **full: Any) -> Program:
    full = {"project": lambda _theta, _values: None} | full
    techniques = [*TECHNIQUES, Technique(name="full", **full)]
    pack = make_pack(data, [adam(**VALUES)], techniques=techniques, batch_norm=True, epochs=4)
    return replace(pack.program, engine=engine)


def members_of(program: Program, count: int = SLOTS, diverging: int = 0) -> list[Member]:
    """Return so many trials, of which the first ones diverge at once."""
    rates = [math.inf if number < diverging else 1e-3 * (number + 1) for number in range(count)]
    return [Member(number, program, adam(lr, **VALUES), 1) for number, lr in enumerate(rates)]


def trained(
    members: Sequence[Member], data: Data, drop: Sequence[int] = (), saved: Sequence[Saved] = (), width: int = 100
) -> Cohort:
    cohort = Cohort(members, Batches(data), width, saved)
    list(cohort.advance(2))
    cohort.drop(drop)
    list(cohort.advance(4))
    return cohort


def same(members: Sequence[Member], others: Sequence[Member]) -> bool:
    return all(
        np.array_equal(one.table()[1], other.table()[1], equal_nan=True)
        for one, other in zip(members, others, strict=True)
    )


@pytest.mark.parametrize("engine", ["torch", *slow("compiled")])
@pytest.mark.parametrize("place", ["backward", "state", *slow("forward", "update")])
def test_nothing_of_a_pack_that_is_split_stays_alive(
    make_data: MakeData, engine: Engine, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its state, its gradient and its trainer are gone before the first half trains, wherever room was missing."""
    data = make_data(70, 5, 3)
    program = program_of(data, engine, **PLACES[place])
    usual, full = members_of(program), members_of(program)
    trained(usual, data, width=ROOM)
    begin_epoch, before, held, alive = Pack.begin_epoch, set[int](), list[Any](), list[str]()

    def watched(pack: Pack) -> Any:
        if len(pack.slots) <= ROOM:
            alive.extend(type(found).__name__ for one in held if (found := one()) is not None)
            return begin_epoch(pack)
        gc.collect()
        before.update(before or map(id, gc.get_objects()))
        try:
            return begin_epoch(pack)
        finally:
            held[:] = [weakref.ref(one) for one in gc.get_objects() if id(one) not in before and _is_of_training(one)]

    monkeypatch.setattr(Pack, "begin_epoch", watched)
    cohort = trained(full, data)
    assert len(held) > 5
    assert alive == []
    assert cohort.width == SLOTS // 2
    assert same(usual, full)


def _is_of_training(one: object) -> bool:
    if isinstance(one, Tensor):
        # The metrics of the epoch before are on the CPU, in any case.
        return one.ndim > 0 and len(one) == SLOTS and not (one.ndim == 1 and one.dtype == torch.float64)
    of_package = type(one).__module__.startswith("search.train.") and type(one).__name__ not in ("Pack", "Slot")
    return of_package and bool(type(one).__weakrefoffset__)


@pytest.mark.parametrize("copied", [0, 16, 18, 48])
def test_packs_that_find_no_room_to_be_regrouped_go_on(
    make_data: MakeData, copied: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Room is missing once, after so many copies of tensors, while a pack shrinks or two become one."""
    data = make_data(70, 5, 3)
    # Two trials diverge at once, so the first of two packs shrinks.
    program = program_of(data)
    usual, full = members_of(program, 8, diverging=2), members_of(program, 8, diverging=2)
    trained(usual, data, (2, 6), width=5)
    index_copy, calls = Tensor.index_copy_, 0

    def crowded(into: Tensor, *given: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == copied + 1:
            raise torch.OutOfMemoryError("no room")
        return index_copy(into, *given)

    monkeypatch.setattr(Tensor, "index_copy_", crowded)
    trained(full, data, (2, 6), width=5)
    assert calls > 48
    assert [one.epoch for one in full] == [1, 1, 2, 4, 4, 4, 2, 4]
    assert same(usual, full)
    assert capsys.readouterr().err == ""


def test_a_restored_pack_enters_the_device_only_when_it_trains(make_data: MakeData) -> None:
    """So room that is missing is seen where it splits the pack."""
    data = make_data(70, 5, 3)
    usual, program = members_of(program_of(data)), program_of(data, project=project)
    cohort = Cohort(usual, Batches(data), 100)
    list(cohort.advance(1))
    saved = [pack.saved() for pack in cohort.packs]
    list(cohort.advance(4))
    assert [len(one.slots) for one in saved] == [SLOTS]
    meta = Pack.restored(program, Batches(data, "meta"), [Slot(0, 0, {}), Slot(3, 0, {})], saved[0])
    assert {one.device.type for one in meta.state.values()} == {"cpu"}
    full = members_of(program)
    for one, other in zip(full, usual, strict=True):
        one.restore({name: curve[:1] for name, curve in other.curves.items()}, other.times[:1], {})
    assert trained(full, data, saved=saved).width == SLOTS // 2
    assert same(usual, full)


@pytest.mark.parametrize("engine", ["torch", "compiled"])
@pytest.mark.parametrize("name", ["adversarial", "batch_norm", "ema", "sam"])
def test_a_pack_at_rest_keeps_its_state_alone(name: str, engine: Engine) -> None:
    """Gradient and scratch are gone at once, not when Python next looks for objects that refer to each other."""
    pack = next(one.values[0] for one in BENCHES if str(one.id).startswith(f"{name}:")).pack()  # type: ignore[union-attr]
    pack = Pack(replace(pack.program, engine=engine), pack.batches, pack.slots)
    gc.collect()
    before = set(map(id, gc.get_objects()))
    gc.disable()
    try:
        pack.run_epoch()
        held = [weakref.ref(one) for one in gc.get_objects() if id(one) not in before and isinstance(one, Tensor)]
        pack.rest("cpu")
        state = set(map(id, pack.state.values()))
        alive = [one for ref in held if (one := ref()) is not None and id(one) not in state]
    finally:
        gc.enable()
    assert [one.shape for one in alive if one.numel() >= pack.state["theta"][0].numel()] == []
