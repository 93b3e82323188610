"""Tests of the split: its parts are disjoint, cover all rows, follow the seed, and are stratified where possible."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from search.data.rules import validate_shares
from search.data.split import partition
from search.errors import RequestError

SHARES = (0.6, 0.2, 0.2)


@st.composite
def shares(draw: st.DrawFn) -> tuple[float, float, float]:
    val = draw(st.floats(0.1, 0.4))
    test = draw(st.floats(0.1, 0.4))
    return (1 - val - test, val, test)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(20, 300), split=shares(), seed=st.integers(0, 2**32))
def test_plain_parts_are_disjoint_cover_all_rows_and_have_the_asked_sizes(
    rows: int, split: tuple[float, float, float], seed: int
) -> None:
    parts = partition(rows, split, seed)
    assert sorted(torch.cat(parts).tolist()) == list(range(rows))
    for part, share in zip(parts, split, strict=True):
        assert abs(len(part) - share * rows) <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(20, 60), min_size=2, max_size=5), split=shares(), seed=st.integers(0, 2**32))
def test_stratified_parts_hold_each_class_in_its_share(
    counts: list[int], split: tuple[float, float, float], seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    parts = partition(len(labels), split, seed, labels)
    assert sorted(torch.cat(parts).tolist()) == list(range(len(labels)))
    for part, share in zip(parts, split, strict=True):
        held = torch.bincount(labels[part], minlength=len(counts)).tolist()
        assert all(abs(have - share * count) <= 1 + 1e-9 for have, count in zip(held, counts, strict=True))


def test_a_class_too_small_for_every_part_gives_a_plain_split() -> None:
    labels = torch.tensor([0] * 98 + [1] * 2)
    parts = partition(100, SHARES, 0, labels)
    assert [len(part) for part in parts] == [60, 20, 20]
    assert [part.tolist() for part in parts] == [part.tolist() for part in partition(100, SHARES, 0)]


def test_the_first_rows_of_a_stratified_part_are_not_all_of_one_class() -> None:
    labels = torch.repeat_interleave(torch.arange(3), 100)
    for part in partition(300, SHARES, 0, labels):
        assert set(labels[part[:15]].tolist()) == {0, 1, 2}


def test_the_seed_decides_the_split_and_nothing_else_does() -> None:
    np.random.seed(1)
    first = partition(200, SHARES, 3)
    np.random.seed(2)
    again = partition(200, SHARES, 3)
    other = partition(200, SHARES, 4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert set(first[1].tolist()) != set(other[1].tolist())


def test_every_row_can_land_in_every_part() -> None:
    held = [{row for seed in range(60) for row in partition(10, SHARES, seed)[part].tolist()} for part in range(3)]
    assert held == [set(range(10))] * 3


@pytest.mark.parametrize("split", [(0.6, 0.4), (0.6, 0.4, 0.0), (1.2, -0.1, -0.1), (math.nan, 0.5, 0.5), ("a", 1, 1)])
def test_shares_that_are_not_three_positive_numbers_are_refused(split: tuple[float, ...]) -> None:
    with pytest.raises(RequestError, match=r"split must be three positive shares .*got \(") as caught:
        validate_shares(split)
    assert str(split) in str(caught.value)


def test_shares_that_do_not_sum_to_one_are_refused_and_the_sum_named() -> None:
    with pytest.raises(RequestError, match=r"\(0\.6, 0\.2, 0\.3\), which sum to 1\.1"):
        validate_shares((0.6, 0.2, 0.3))


def test_shares_may_miss_one_by_rounding() -> None:
    assert validate_shares((0.7, 0.2, 0.1000005)) == (0.7, 0.2, 0.1000005)
    with pytest.raises(RequestError, match="sum to 1"):
        validate_shares((0.7, 0.2, 0.100002))


def test_a_part_without_rows_is_refused() -> None:
    with pytest.raises(RequestError, match="of 20 rows leaves a part without rows"):
        partition(20, (0.98, 0.01, 0.01), 0)
