"""Tests of the rules of a single split: fractions, files, groups, times and weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tables import frame, numbers

from search.data import load
from search.data.inputs import Numbers
from search.data.rules import Rules
from search.data.source import Source
from search.data.split import divide
from search.errors import RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def source(rows: int, **fields: Any) -> Source:
    """Return a data set without classes unless they are given."""
    x = torch.arange(float(rows))[:, None]
    return Source("own.csv", **({"task": "regression", "y": x, "inputs": Numbers(x)} | fields))


def with_classes(labels: torch.Tensor) -> dict[str, Any]:
    return {"task": "classification", "y": labels, "classes": tuple(map(str, range(int(labels.max()) + 1)))}


FRACTIONS = st.one_of(st.none(), st.floats(0.1, 0.4))


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(40, 200), val=FRACTIONS, test=st.one_of(FRACTIONS, st.just(0)), seed=st.integers(0, 2**32))
def test_fractions_are_of_all_rows(rows: int, val: float | None, test: float | None, seed: int) -> None:
    parts = divide(source(rows), Rules(val=val, test=test, seed=seed))
    assert sorted(torch.cat([parts.train, parts.val, parts.test]).tolist()) == list(range(rows))
    for part, share in ((parts.val, 0.2 if val is None else val), (parts.test, 0.2 if test is None else test)):
        assert abs(len(part) - share * rows) <= 0.5 + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 15), min_size=3, max_size=25),
    classes=st.integers(0, 3),
    test=st.sampled_from([None, 0, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_a_group_is_in_one_part_and_no_part_is_empty(
    sizes: list[int], classes: int, test: float | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    groups = groups[torch.from_numpy(rng.permutation(len(groups)))]
    fields = with_classes(torch.from_numpy(rng.integers(0, classes, len(groups)))) if classes else {}
    parts = divide(source(len(groups), groups=groups, **fields), Rules(group="g", test=test, seed=seed))
    rows = [part for part in (parts.train, parts.val, parts.test) if len(part)]
    assert len(rows) == (2 if test == 0 else 3)
    assert sorted(torch.cat(rows).tolist()) == list(range(len(groups)))
    assert sum(len({*groups[part].tolist()}) for part in rows) == len(sizes)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.integers(1, 6))
def test_parts_of_many_groups_have_the_asked_shares_of_each_class(seed: int, size: int) -> None:
    """With 120 groups of equal size no share is off by much more than the rows of a group."""
    rng = np.random.default_rng(seed)
    groups = torch.arange(120).repeat_interleave(size)
    labels = torch.from_numpy(rng.integers(0, 3, len(groups)))
    parts = divide(source(len(groups), groups=groups, **with_classes(labels)), Rules(group="g", seed=seed))
    for part, share in ((parts.train, 0.6), (parts.val, 0.2), (parts.test, 0.2)):
        held, whole = torch.bincount(labels[part], minlength=3), torch.bincount(labels, minlength=3)
        assert ((held - share * whole).abs() <= size + 2).all(), (held, whole)


def test_another_seed_gives_other_groups() -> None:
    groups = torch.repeat_interleave(torch.arange(12), torch.arange(1, 13))
    labels = torch.arange(len(groups)) % 2
    one = source(len(groups), groups=groups, **with_classes(labels))
    held = {frozenset(divide(one, Rules(group="g", seed=seed)).test.tolist()) for seed in range(10)}
    assert len(held) > 5


def test_the_only_group_of_a_class_trains() -> None:
    groups = torch.arange(10).repeat_interleave(4)
    labels = (groups == 7).long()
    one = source(40, groups=groups, **with_classes(labels))
    for seed in range(10):
        # A small training part would not get it otherwise.
        assert 7 in groups[divide(one, Rules((0.2, 0.4, 0.4), group="g", seed=seed)).train]


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.integers(0, 30), min_size=10, max_size=80),
    grouped=st.booleans(),
    test=st.sampled_from([None, 0, 0.3]),
)
def test_time_never_flows_back(times: list[int], grouped: bool, test: float | None) -> None:
    clock = np.array(times, np.float64)
    # Groups of ten hours each do not overlap in time.
    groups = torch.from_numpy(clock // 10).long() if grouped else None
    pieces = len({*(clock // 10 if grouped else clock)})
    rules = Rules(time="t", group="g" if grouped else None, test=test)
    needed = 2 if test == 0 else 3
    if pieces < needed:
        with pytest.raises(RequestError, match="too few"):
            divide(source(len(times), times=clock, groups=groups), rules)
        return
    parts = divide(source(len(times), times=clock, groups=groups), rules)
    rows = [part for part in (parts.train, parts.val, parts.test) if len(part)]
    assert len(rows) == needed
    assert sorted(torch.cat(rows).tolist()) == list(range(len(times)))
    for earlier, later in pairwise(rows):
        assert clock[earlier].max() < clock[later].min()
        if groups is not None:
            assert not {*groups[earlier].tolist()} & {*groups[later].tolist()}


def test_a_split_in_time_without_equal_times_has_the_asked_shares() -> None:
    clock = np.random.default_rng(0).permutation(100).astype(np.float64)
    parts = divide(source(100, times=clock), Rules(time="t", val=0.1, test=0.25))
    assert [clock[part].max() for part in (parts.train, parts.val, parts.test)] == [64, 74, 99]


def test_groups_that_overlap_in_time_are_refused() -> None:
    one = source(20, times=np.arange(20.0), groups=torch.arange(20) % 2)
    with pytest.raises(RequestError, match=r"groups of 'g' overlap in time 't'.*leave out group or time"):
        divide(one, Rules(time="t", group="g"))


def test_columns_with_a_role_are_no_inputs_but_a_time_is() -> None:
    table = frame(g=[f"p{i // 5}" for i in range(60)], t=np.arange(60)[::-1] * 2, w=np.arange(60) + 1.0)
    table.to_csv("own.csv", index=False)
    data = load("own.csv", target="y", group="g", weights="w")
    assert [str(feature) for feature in data.columns] == ["row", "t"]
    assert "own.csv: the rows of a group in g stay in one part (12 groups)" in data.notes
    assert "own.csv: rows are weighted by w, from 1 to 60" in data.notes
    later = load("own.csv", target="y", time="t")
    assert any(str(feature) == "t" for feature in later.columns)
    assert sorted(numbers(later)[2]) == list(range(12)), "the last times are those of the first rows"
    assert any("not in this order, so they were sorted" in note for note in later.notes)
    dropped = load("own.csv", target="y", time="t", options={"drop": ["t", "g"]})
    assert [str(feature) for feature in dropped.columns] == ["row", "w"]
    assert numbers(dropped) == numbers(later)


def test_weights_are_those_of_the_rows_with_mean_one_in_training() -> None:
    frame(w=np.arange(60.0)).to_csv("own.csv", index=False)
    data = load("own.csv", target="y", weights="w", scale="none")
    parts = (data.w_train, data.w_val, data.w_test)
    factor = np.mean(numbers(data)[0])
    for part, rows in zip(parts, numbers(data), strict=True):
        assert part is not None
        assert part.tolist() == pytest.approx([row / factor for row in rows])
    plain = load("own.csv", target="y", scale="none", options={"drop": ["w"]})
    assert plain.w_train is None
    assert plain.fingerprint() != data.fingerprint()
    assert torch.equal(plain.x_train, data.x_train)


REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"test": 0.5, "val": 0.5}, "val takes 0.5 and test 0.5 of all rows, which leaves none to train on"),
    ({}, {"test": 1}, r"test takes a file or a fraction of all rows in \[0, 1\), where 0 means no test part, got 1"),
    ({}, {"val": 0}, r"val takes a file or a fraction of all rows in \(0, 1\), got 0"),
    ({}, {"test": "late.csv"}, "test: there is no dataset 'late.csv'"),
    ({}, {"test": "own.csv"}, "test: 'own.csv' is the data set itself"),
    ({}, {"test": "own.npz"}, "test: 'own.npz' is not of the kind of own.csv: give a table"),
    ({}, {"test": "other.csv"}, "other.csv must have the columns of own.csv: it has no row; it has also z"),
    (
        {"g": [1, 2, 3] * 20},
        {"test": "same.csv", "group": "g"},
        "group '2' of 'g' has (training|validation) and test rows",
    ),
    (
        {"t": range(60)},
        {"test": "same.csv", "time": "t"},
        "test rows must be later .* line 2 of same.csv is not",
    ),
    ({"g": 1}, {"group": "g"}, "group 'g' has 1 different value, too few for 3 parts"),
    ({"t": [1, 2] * 30}, {"time": "t"}, "time 't' has 2 different values, too few for 3 parts"),
    ({"t": [1.0] * 30 + [None] * 30}, {"time": "t"}, "own.csv: time 't' is missing in line 32"),
    ({"t": ["x"] * 60}, {"time": "t"}, "time 't' must hold numbers or dates such as 2024-03-31, got 'x' in line 2"),
    ({"g": [1.0] * 30 + [None] * 30}, {"group": "g"}, "own.csv: group 'g' is missing in line 32"),
    ({"w": [1] * 59 + [-2]}, {"weights": "w"}, "own.csv: weights 'w' is -2, less than 0, in line 61"),
    ({"w": [1.0] * 59 + [None]}, {"weights": "w"}, "own.csv: weights 'w' is missing in line 61"),
    ({"w": ["a"] * 60}, {"weights": "w"}, "own.csv: weights 'w' must hold numbers, got 'a'"),
    ({"w": 0}, {"weights": "w"}, "the weights of all training rows are 0"),
    ({}, {"weights": "mass"}, "weights: own.csv has no column 'mass'"),
    ({}, {"group": "y"}, "group: own.csv: 'y' is the target, which cannot be the group too"),
    ({}, {"group": "row", "time": "row"}, "group and time are both column 'row'"),
    (
        {},
        {"validation": "test", "val": 0.2},
        "validation 'test' takes its rows .*, so val has no place",
    ),
]


@pytest.mark.parametrize(("columns", "arguments", "says"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_is_refused_in_one_line(columns: dict[str, Any], arguments: dict[str, Any], says: str) -> None:
    frame(**columns).to_csv("own.csv", index=False)
    pd.DataFrame({"y": [0.1, 0.2], "z": [1, 2]}).to_csv("other.csv", index=False)
    frame(2, **({"g": [2, 9]} if "g" in columns else {"t": [1, 99]})).to_csv("same.csv", index=False)
    Path("own.npz").touch()
    with pytest.raises(RequestError, match=says) as caught:
        load("own.csv", target="y", **arguments)
    assert "\n" not in str(caught.value)


def test_dates_in_text_order_rows() -> None:
    """Text is not sorted as text: ISO 8601 allows several ways to write the same time."""
    days = pd.date_range("2023-12-25", periods=40, freq="12h")
    order = np.random.default_rng(0).permutation(40)
    written = [f"{day:%Y-%m-%d}" if day.hour == 0 else f"{day:%Y-%m-%dT%H:%M}" for day in days[order]]
    for day in (written, days[order].to_numpy()):
        np.savez("own.npz", x=order[:, None] * 1.0, y=np.arange(40) % 2, day=day)
        assert sorted(numbers(load("own.npz", time="day"))[2]) == list(range(32, 40))
    with pytest.raises(RequestError, match="it has others too, which none of group, time and weights names"):
        load("own.npz")
