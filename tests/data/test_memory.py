"""Data in memory are the data of the same table or arrays in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from search import RequestError
from search.data import Data, load, load_folds, memory
from search.predict.new_rows import Wanted, read

ROWS = 60


def table(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=ROWS).round(3),
            "kind": rng.choice(["flat", "house"], ROWS),
            "city": np.repeat([f"city {number}" for number in range(12)], 5),
            "day": np.arange(ROWS),
            "weight": rng.integers(1, 4, ROWS),
        }
    )
    frame.loc[3, "size"] = np.nan
    frame["price"] = (2 * rng.normal(size=ROWS)).round(3)
    return frame


def given(data: object, parts: dict[str, Any] | None = None, **arguments: Any) -> Data:
    arguments |= dict.fromkeys(parts or {}, memory.MEMORY)
    return load(memory.MEMORY, given=memory.of(data, parts), **arguments)


def same(here: Data, there: Data) -> None:
    assert here.fingerprint() == there.fingerprint()
    assert here.columns == there.columns
    assert here.classes == there.classes


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"test": 0, "val": 0.3},
        {"group": "city"},
        {"time": "day"},
        {"weights": "weight"},
        {"target": "price,weight"},
        {"columns": {"weight": "category"}, "options": {"drop": ["city"]}},
    ],
)
def test_a_frame_is_read_as_its_csv(tmp_path: Path, rules: dict[str, Any]) -> None:
    frame = table()
    frame.to_csv(tmp_path / "homes.csv", index=False)
    arguments = {"target": "price", **rules}
    same(given(frame, **arguments), load(str(tmp_path / "homes.csv"), **arguments))


def test_folds_of_a_frame_are_those_of_its_csv(tmp_path: Path) -> None:
    frame = table()
    frame.to_csv(tmp_path / "homes.csv", index=False)
    here = load_folds("memory", given=memory.of(frame), target="price", folds=3, group="city")
    there = load_folds(str(tmp_path / "homes.csv"), target="price", folds=3, group="city")
    for one, other in zip(here, there, strict=True):
        same(one, other)


def test_the_test_rows_of_a_frame_may_be_in_a_file(tmp_path: Path) -> None:
    frame = table(1)
    frame.to_csv(tmp_path / "later.csv", index=False)
    data = given(table(), target="price", test=str(tmp_path / "later.csv"))
    assert data.targets is not None
    np.testing.assert_allclose(data.targets.invert(data.y_test)[:, 0], frame["price"], rtol=1e-5, atol=1e-5)


def test_parts_in_memory_are_those_of_files(tmp_path: Path) -> None:
    frames = {name: table(seed) for seed, name in enumerate(("own", "val", "test"))}
    for name, frame in frames.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    paths = {part: str(tmp_path / f"{part}.csv") for part in ("val", "test")}
    there = load(str(tmp_path / "own.csv"), target="price", **paths)
    own, *others = frames.values()
    same(given(own, dict(zip(paths, others, strict=True)), target="price"), there)
    pairs = [(frame.drop(columns="price"), frame["price"]) for frame in frames.values()]
    same(given(pairs[0], dict(zip(paths, pairs[1:], strict=True))), there)


def test_parts_of_arrays_are_those_of_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pairs = [(rng.normal(size=(rows, 4)), rng.integers(0, 3, rows)) for rows in (ROWS, 20, 10)]
    for name, (x, y) in zip(("own", "val", "test"), pairs, strict=True):
        np.savez(tmp_path / f"{name}.npz", x=x, y=y)
    paths = {part: str(tmp_path / f"{part}.npz") for part in ("val", "test")}
    same(
        given(pairs[0], dict(zip(paths, pairs[1:], strict=True))),
        load(str(tmp_path / "own.npz"), **paths),
    )


@pytest.mark.parametrize(
    ("own", "part", "words"),
    [
        (table(), table().drop(columns="day"), "test must have the columns of data frame: it has no day"),
        (table(), (np.zeros((3, 2)), np.arange(3)), "test holds arrays: give a data frame"),
        ((np.zeros((4, 2)), np.arange(4)), (table(), table()["price"]), "test is a data frame: give a pair"),
        ((np.zeros((4, 2)), np.arange(4)), (np.zeros((3, 1)), np.arange(3)), "1 feature of float32 here, 2 of"),
        ((np.zeros((4, 2)), np.arange(4)), (np.zeros((3, 2)), np.eye(3)), "test: y differs"),
        ((np.zeros((4, 2)), np.arange(4)), (np.full((3, 2), np.nan), np.eye(3)), "test is missing in row 1"),
    ],
)
def test_a_part_that_differs_is_refused(own: Any, part: Any, words: str) -> None:
    arguments = {"target": "price"} if isinstance(own, pd.DataFrame) else {}
    with pytest.raises(RequestError, match=words):
        given(own, {"test": part}, **arguments)


def test_a_pair_with_a_frame_is_the_frame_with_its_target() -> None:
    frame = table()
    x, y = frame.drop(columns="price"), frame["price"]
    whole = given(frame, target="price")
    for pair in ((x, y), (x, frame[["price"]]), [x, y]):
        same(given(pair), whole)
    unnamed = given((x, y.to_numpy()))
    assert unnamed.target_names == ("target",)
    assert unnamed.fingerprint() == whole.fingerprint()


def test_a_target_with_the_name_of_a_column_gets_another_one() -> None:
    frame = table()
    data = given((frame[["size", "price"]], frame["price"]))
    assert data.target_names == ("price.2",)
    assert [feature.column for feature in data.columns][:2] == ["size", "price"]


@pytest.mark.parametrize("kind", ["arrays", "tensors", "lists", "series"])
def test_arrays_are_read_as_their_npz(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(ROWS, 4)), rng.integers(0, 3, ROWS)
    np.savez(tmp_path / "some.npz", x=x, y=y)
    pairs: dict[str, Any] = {
        "arrays": (x, y),
        "tensors": (torch.tensor(x, requires_grad=True), torch.tensor(y)),
        "lists": (x.tolist(), y.tolist()),
        "series": (x, pd.Series(y)),
    }
    same(given(pairs[kind]), load(str(tmp_path / "some.npz")))


def test_images_in_memory_keep_their_shape_and_pixels() -> None:
    rng = np.random.default_rng(0)
    data = given((rng.integers(0, 256, (ROWS, 5, 6), dtype=np.uint8), rng.integers(0, 2, ROWS)))
    assert data.image_shape == (1, 5, 6)
    assert data.pixel_max == 255


class Foreign:
    """A frame of another library, whose conversion to pandas needs a library that is missing, or not."""

    def __init__(self, frame: pd.DataFrame, *, converts: bool) -> None:
        self.frame, self.converts, self.columns = frame, converts, list(frame.columns)

    def to_pandas(self) -> pd.DataFrame:
        if not self.converts:
            raise ModuleNotFoundError("pyarrow is required")
        return self.frame

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        return self.frame.__dataframe__(nan_as_null, allow_copy)


@pytest.mark.parametrize("converts", [True, False])
@pytest.mark.filterwarnings("ignore:The Dataframe Interchange Protocol")
def test_frames_of_other_libraries_become_frames_of_pandas(converts: bool) -> None:
    frame = table()
    same(given(Foreign(frame, converts=converts), target="price"), given(frame, target="price"))


def test_new_rows_may_be_in_a_frame_of_another_library() -> None:
    frame = table()
    wanted = Wanted.by_data("study", given(frame, target="price"))
    theirs = read(Foreign(frame, converts=True), wanted)
    assert torch.equal(theirs.raw, read(frame, wanted).raw)


def test_a_note_says_that_rows_are_paired_by_their_place() -> None:
    frame = table()
    x, y = frame.drop(columns="price"), frame["price"]
    assert not any("indexes" in note for note in given((x, y)).notes)
    moved = y.set_axis(range(1, ROWS + 1))
    assert any("row 1 of x belongs to row 1 of y" in note for note in given((x, moved)).notes)


@pytest.mark.parametrize(
    ("data", "arguments", "words"),
    [
        (table(), {}, r"needs target='COLUMN'.*it has: size, kind"),
        (table(), {"target": "pric"}, "no column 'pric': did you mean 'price'"),
        (table(), {"target": "price", "options": {"separator": ";"}}, "unknown option of a data frame 'separator'"),
        (table(), {"target": "price", "test": "nowhere.csv"}, "'nowhere.csv' is no table in a file"),
        (table(), {"target": "price", "group": "town"}, "group: data frame has no column 'town'"),
        ((table(), np.zeros(3)), {}, "x is 60 x 6 and y is 3: each row of x needs a y"),
        ((table()[["size"]], table()["price"]), {"target": "price"}, "has its target in y"),
        ((np.zeros((4, 2)), np.arange(4)), {"target": "a"}, "target 'a' names a column, which arrays do not have"),
        ((np.zeros((4, 2)), np.arange(4)), {"weights": "a"}, "give a data frame"),
        ((np.array([[1.0], [np.nan]]), np.arange(2)), {}, "x is missing in row 2, feature 1"),
        ((np.zeros((4, 2)), None), {}, "but y is NoneType"),
        ("homes.csv", {}, "a path is given as dataset='homes.csv'"),
        (np.zeros((4, 2)), {}, "got numpy's ndarray"),
        (((1, 2, 3)), {}, "got tuple of 3"),
    ],
)
def test_what_is_refused_and_why(data: object, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words) as error:
        given(data, **arguments)
    assert "\n" not in str(error.value)
