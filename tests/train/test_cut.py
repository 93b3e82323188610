"""The cut of slots into packs is a partition, and it lets the workers end nearly as early as any cut does."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data import random_data
from support.packs import adam, make_pack

from search.recipe.discovery import discover
from search.train.cut import cut, slot_work
from search.train.pack import Slot


def numbered(sizes: Sequence[int]) -> list[tuple[int, Slot]]:
    """Return so many slots of each signature, of alternating replicates."""
    names = [signature for signature, size in enumerate(sizes) for _ in range(size)]
    return [(signature, Slot(n, n % 2, {})) for n, signature in enumerate(names)]


def sizes_of(slots: Sequence[tuple[int, Slot]], packs: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """Return the signature and the number of slots of each pack."""
    found = []
    for pack in packs:
        (signature,) = {slots[i][0] for i in pack}
        found.append((signature, len(pack)))
    return found


def end(loads: Sequence[float], workers: int) -> float:
    """Return when the last of `workers` ends that take these packs in the order given."""
    free = [0.0] * workers
    for load in loads:
        free[free.index(min(free))] += load
    return max(free)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(1, 4),
)
def test_a_cut_is_a_partition_into_packs_of_one_signature(
    slots: list[tuple[int, int]], width: int, workers: int
) -> None:
    named = [(signature, Slot(n, replicate, {})) for n, (signature, replicate) in enumerate(slots)]
    packs = cut(named, width, workers)
    assert Counter(i for pack in packs for i in pack) == Counter(range(len(slots)))
    lengths: dict[int, list[int]] = {}
    for pack, (signature, size) in zip(packs, sizes_of(named, packs), strict=True):
        assert 1 <= size <= width
        lengths.setdefault(signature, []).append(size)
        assert [slots[i][1] for i in pack] == sorted(slots[i][1] for i in pack)
    for signature, each in lengths.items():
        assert max(each) - min(each) <= 1
        if workers == 1:
            assert len(each) == -(-sum(s == signature for s, _ in slots) // width)


@pytest.mark.parametrize(
    ("sizes", "width", "workers", "packs"),
    [
        ([1] * 8, 64, 2, [1] * 8),
        ([3], 64, 4, [1, 1, 1]),
        ([3], 64, 2, [2, 1]),
        ([32], 64, 2, [16, 16]),
        ([32], 8, 2, [8, 8, 8, 8]),
        ([8, 8], 64, 2, [8, 8]),
        ([4, 4, 4], 64, 2, [4, 4, 2, 2]),
        ([2, 2, 2], 64, 4, [2, 2, 2]),
        ([30, 1, 1], 64, 2, [15, 15, 1, 1]),
        ([5], 64, 1, [5]),
    ],
)
def test_packs_are_shared_out_over_all_signatures(sizes: list[int], width: int, workers: int, packs: list[int]) -> None:
    slots = numbered(sizes)
    assert [size for _, size in sizes_of(slots, cut(slots, width, workers))] == packs


def test_heavy_slots_are_shared_out_by_their_work_and_come_first() -> None:
    """Four slots of work 3 and four of work 1 are 16 for two workers; a pack for each program would end at 12."""
    slots, work = numbered([4, 4]), {1: 3.0, 0: 1.0}
    loads = [size * work[signature] for signature, size in sizes_of(slots, cut(slots, 64, 2, work))]
    assert loads == sorted(loads, reverse=True)
    assert end(loads, 2) <= 9


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.5, 1.0, 2.0, 3.0])), min_size=1, max_size=4),
    st.sampled_from([1, 2, 3, 100]),
    st.integers(1, 4),
)
def test_no_cut_ends_much_earlier(programs: list[tuple[int, float]], width: int, workers: int) -> None:
    """Every number of packs of every signature is tried; a pack costs a quarter of a slot besides its slots."""
    sizes, work = [size for size, _ in programs], dict(enumerate(work for _, work in programs))

    def ends(packs: Sequence[tuple[int, int]], each: Mapping[int, float]) -> float:
        return end(sorted(((size + 0.25) * each[signature] for signature, size in packs), reverse=True), workers)

    slots = numbered(sizes)
    mine = ends(sizes_of(slots, cut(slots, width, workers, work)), work)
    choices = itertools.product(*(range(-(-size // width), size + 1) for size in sizes))
    every = [
        [
            (signature, size // count + (at < size % count))
            for signature, (size, count) in enumerate(zip(sizes, counts, strict=True))
            for at in range(count)
        ]
        for counts in choices
    ]
    assert mine <= 1.15 * min(ends(packs, work) for packs in every)


def test_work_follows_the_network_its_rows_and_the_passes_of_a_step() -> None:
    data, known = random_data(100, 13, 3), discover()

    def work(*names: str, consistency: float = 2.0, **structure: str | int | float) -> float:
        slots = [adam(consistency=consistency, sigma=0.1)]
        pack = make_pack(data, slots, techniques=[known[name] for name in names], **structure)
        return slot_work(pack.program, pack.batches)

    plain = work()
    assert work(hidden="12x20") > plain
    assert work(batch_size=8) > plain
    assert work("consistency", consistency_distance="mse") > 1.5 * plain
    assert work("train_fraction", train_fraction=0.1) < 0.5 * plain
