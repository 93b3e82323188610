"""Tests of the folds of a cross-validation: which rows they hold, where statistics come from, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, TimeSeriesSplit

from search.data import Data, load, load_folds
from search.data.blocks import assign
from search.data.folds import divide
from search.data.inputs import Numbers
from search.data.rules import Rules
from search.data.source import Source
from search.errors import RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def source(rows: int, **fields: Any) -> Source:
    """Return a data set of rows that differ, without classes unless given."""
    x = torch.arange(float(rows))[:, None]
    return Source("own.csv", **({"task": "regression", "y": x, "inputs": Numbers(x)} | fields))


def raw(data: Data) -> tuple[list[float], list[float], list[float]]:
    """Return the first input of each part, unscaled and rounded to whole numbers, which tell rows apart."""
    inputs = data.inputs
    train, val, test = (inputs.invert(x)[:, 0].round().tolist() for x in (data.x_train, data.x_val, data.x_test))
    return train, val, test


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(6, 30), min_size=1, max_size=4),
    folds=st.integers(2, 6),
    repeats=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_each_row_validates_once_in_a_repeat_and_classes_keep_their_share(
    counts: list[int], folds: int, repeats: int, seed: int
) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    classes = {"task": "classification", "y": labels, "classes": tuple(map(str, range(len(counts))))}
    pool = (
        torch.arange(len(labels))[torch.arange(len(labels)) % 7 != 3] if min(counts) > 12 else torch.arange(len(labels))
    )
    pairs = divide(source(len(labels), **classes), pool, Rules(folds=folds, repeats=repeats, seed=seed))
    assert len(pairs) == folds * repeats
    for repeat in range(repeats):
        held = [val for _, val in pairs[repeat * folds : (repeat + 1) * folds]]
        assert sorted(torch.cat(held).tolist()) == pool.tolist()
        for train, val in pairs[repeat * folds : (repeat + 1) * folds]:
            assert sorted(torch.cat([train, val]).tolist()) == pool.tolist()
            for label in range(len(counts)):
                share = int((labels[pool] == label).sum()) / folds
                assert abs(int((labels[val] == label).sum()) - share) < 1
    if len(pool) > 20:
        repeated = [frozenset(pairs[repeat * folds][1].tolist()) for repeat in range(repeats)]
        assert len(set(repeated)) == repeats


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=6, max_size=20),
    classes=st.integers(0, 3),
    folds=st.integers(2, 6),
    seed=st.integers(0, 2**32),
)
def test_a_group_never_has_training_and_validation_rows(sizes: list[int], classes: int, folds: int, seed: int) -> None:
    groups = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    rng = np.random.default_rng(seed)
    groups = groups[torch.from_numpy(rng.permutation(len(groups)))]
    fields: dict[str, Any] = {"groups": groups}
    if classes:
        labels = torch.from_numpy(rng.integers(0, classes, len(groups)))
        fields |= {"task": "classification", "y": labels, "classes": tuple(map(str, range(classes)))}
    pairs = divide(source(len(groups), **fields), torch.arange(len(groups)), Rules(group="g", folds=folds, seed=seed))
    for train, val in pairs:
        assert len(val)
        assert not {*groups[train].tolist()} & {*groups[val].tolist()}
    assert sorted(torch.cat([val for _, val in pairs]).tolist()) == list(range(len(groups)))


def test_groups_fill_folds_as_evenly_as_in_scikit_learn_and_each_seed_differs() -> None:
    ours, theirs = [], []
    for case in range(8):
        rng = np.random.default_rng(case)
        groups = np.repeat(np.arange(15), rng.integers(1, 40, 15))
        labels = rng.integers(0, 3, len(groups))

        def uneven(folds: list[Any], labels: Any = labels) -> float:
            shares = [np.bincount(labels[held], minlength=3) / np.bincount(labels) for held in folds]
            return float(np.std(shares, axis=0).mean())

        parts = [assign(groups, labels, [0.2] * 5, np.random.default_rng(seed)) for seed in range(3)]
        ours += [uneven([np.flatnonzero(part == fold) for fold in range(5)]) for part in parts]
        assert len({part.tobytes() for part in parts}) == 3
        for seed in range(3):
            known = StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(groups, labels, groups)
            theirs.append(uneven([held for _, held in known]))
    assert np.mean(ours) < np.mean(theirs)


@settings(max_examples=40, deadline=None)
@given(times=st.lists(st.integers(0, 40), min_size=12, max_size=60, unique=False), folds=st.integers(2, 5))
def test_time_never_flows_back(times: list[int], folds: int) -> None:
    if len({*times}) <= folds:
        return
    clock = np.array(times, np.float64)
    pairs = divide(source(len(times), times=clock), torch.arange(len(times)), Rules(time="t", folds=folds))
    assert len(pairs) == folds
    for number, (train, val) in enumerate(pairs[::-1]):  # the latest is the first
        assert clock[train].max() < clock[val].min()
        if number:
            before = torch.cat(pairs[::-1][number - 1])
            assert sorted(train.tolist()) == sorted(before.tolist()), "a fold trains on all rows before its own"


def test_folds_in_time_are_those_of_scikit_learn_where_all_times_differ() -> None:
    clock = np.random.default_rng(0).permutation(53).astype(np.float64)
    pairs = divide(source(53, times=clock), torch.arange(53), Rules(time="t", folds=5))
    order = np.argsort(clock)
    for (train, val), (known_train, known_val) in zip(pairs[::-1], TimeSeriesSplit(5).split(order), strict=True):
        assert train.tolist() == order[known_train].tolist()
        assert val.tolist() == order[known_val].tolist()


@pytest.mark.parametrize("name", ["digits", "wine", "diabetes", "line"])
def test_named_data_sets_keep_the_test_rows_of_the_single_split(name: str) -> None:
    single, folds = load(name, scale="none", seed=3), load_folds(name, scale="none", seed=3, folds=3, repeats=2)
    everything = sorted(torch.cat([single.x_train, single.x_val]).tolist())
    for fold in folds:
        assert torch.equal(fold.x_test, single.x_test)
        assert sorted(torch.cat([fold.x_train, fold.x_val]).tolist()) == everything
        assert (fold.features, fold.outputs, fold.classes) == (single.features, single.outputs, single.classes)
    assert len({fold.fingerprint() for fold in folds}) == 6


def test_statistics_come_from_the_training_rows_of_each_fold() -> None:
    for data in load_folds("diabetes", folds=4):
        assert data.targets is not None
        torch.testing.assert_close(data.x_train.mean(0), torch.zeros(10), atol=1e-5, rtol=0)
        torch.testing.assert_close(data.x_train.std(0, correction=0), torch.ones(10), atol=1e-5, rtol=0)
        torch.testing.assert_close(data.y_train.mean(0), torch.zeros(1), atol=1e-5, rtol=0)
        assert data.x_val.mean(0).abs().max() > 1e-3
    shifts = [data.inputs.shift for data in load_folds("diabetes", folds=4)]
    assert all(not torch.equal(shifts[0], other) for other in shifts[1:])


def test_a_table_is_encoded_with_one_vocabulary_and_the_medians_of_each_fold() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "row": np.arange(60),
            "size": np.where(rng.random(60) < 0.3, np.nan, rng.integers(0, 50, 60)),
            "town": rng.choice(["A", "B", "C"], 60),
            "y": rng.random(60),
        }
    )
    frame.loc[5, "town"] = "once"
    frame.to_csv("own.csv", index=False)
    folds = load_folds("own.csv", target="y", scale="none", folds=4, test=0)
    names = [str(feature) for feature in folds[0].columns]
    assert names == ["row", "size", "size missing", "town = A", "town = B", "town = C", "town = once"]
    for data in folds:
        assert [str(feature) for feature in data.columns] == names
        train, val, _ = (list(map(int, rows)) for rows in raw(data))
        median = frame["size"].iloc[train].median()
        assert data.columns[1].fill == median
        for rows, x in ((train, data.x_train), (val, data.x_val)):
            assert x[:, 1].tolist() == frame["size"].iloc[rows].fillna(median).tolist()
        # A value that no training row has is 0 in all rows, as in a single split.
        seen = 5 in train
        assert torch.cat([data.x_train, data.x_val])[:, 6].sum() == float(seen)


def test_arrays_with_groups_weights_and_a_test_part_of_their_own() -> None:
    rng = np.random.default_rng(0)
    x, y, who = rng.random((40, 3)), np.arange(40) % 2, np.arange(40) // 4
    np.savez("own.npz", x_train=x[:32], y_train=y[:32], x_test=x[32:], y_test=y[32:], who=who, mass=1.0 + who)
    folds = load_folds("own.npz", scale="none", group="who", weights="mass", folds=4)
    for data in folds:
        assert torch.equal(data.x_test, torch.from_numpy(x[32:]).float())
        assert data.w_train is not None
        assert data.w_val is not None
        assert data.w_train.mean().item() == pytest.approx(1)
        ratio = data.w_train.max() / data.w_val.max()
        known = [
            (1.0 + who[[int(np.abs(x - one).sum(1).argmin()) for one in part.numpy()]]).max()
            for part in (data.x_train, data.x_val)
        ]
        assert ratio.item() == pytest.approx(known[0] / known[1])


def test_pixels_keep_one_scale_for_each_channel() -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 3), np.uint8)
    np.savez("own.npz", x=images, y=np.arange(30) % 3)
    for data in load_folds("own.npz", folds=3):
        assert len({*data.inputs.shift.tolist()}) == 3
        torch.testing.assert_close(data.x_train.view(-1, 3, 16).mean((0, 2)), torch.zeros(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("columns", "arguments", "says"),
    [
        (
            {"y": ["a"] * 30 + ["b"] * 4},
            {"folds": 5, "test": 0},
            "class 'b' has 4 rows outside the test part.*at most 4",
        ),
        ({"y": ["a"] * 30 + ["b"]}, {"folds": 5, "test": 0}, "class 'b' has 1 row .*give the class more rows"),
        ({"g": [1] * 40}, {"folds": 5, "group": "g", "test": 0}, "group 'g' has 1 different value"),
        (
            {"g": [1, 2, 3, 4] * 10},
            {"folds": 5, "group": "g", "test": 0},
            "'g' has 4 different values.*at most 4 folds",
        ),
        ({"t": [1, 2] * 20}, {"folds": 3, "time": "t", "test": 0}, "time 't' has 2 different values, too few for 4"),
        ({"t": [1, None] * 20}, {"folds": 3, "time": "t"}, "time 't' is missing in line 3"),
        (
            {"g": [1, 2] * 20, "t": range(40)},
            {"folds": 3, "time": "t", "group": "g"},
            "groups of 'g' overlap in time 't'",
        ),
        ({}, {"folds": 1}, "folds must be 0 .one split. or at least 2, got 1"),
        ({}, {"folds": 0}, "folds must be at least 2"),
        ({}, {"folds": 3, "val": 0.2}, "val has no place"),
        ({}, {"folds": 3, "repeats": 0}, "repeats must be a whole number >= 1"),
        ({"t": range(40)}, {"folds": 3, "repeats": 2, "time": "t"}, "the same in every repeat"),
        ({}, {"folds": 99}, "99 folds need as many rows outside the test part, which has 32"),
    ],
)
def test_folds_that_cannot_be_made_are_refused(columns: dict[str, Any], arguments: dict[str, Any], says: str) -> None:
    rows = max([len(column) for column in columns.values()], default=40)
    frame = pd.DataFrame({"x": np.arange(rows) * 1.5, "y": np.arange(rows) * 0.7} | columns)
    frame.to_csv("own.csv", index=False)
    with pytest.raises(RequestError, match=says):
        load_folds("own.csv", target="y", **arguments)
