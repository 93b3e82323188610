"""A validation or test part from a file of its own, or from the data set: what it must have, and what is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.tables import frame, numbers

from search.data import load, load_folds
from search.errors import RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_parts_in_files_of_their_own() -> None:
    frame().to_csv("own.csv", index=False)
    frame(7).assign(row=range(100, 107))[["y", "row"]].to_csv("last.csv", index=False)
    data = load("own.csv", target="y", test="last.csv", val=0.25)
    assert [len(part) for part in numbers(data)] == [45, 15, 7]
    assert numbers(data)[2] == list(range(100, 107)), "columns are matched by name"
    assert "test: all 7 rows of last.csv" in data.notes
    data = load("own.csv", target="y", val="last.csv", test=0)
    assert [len(part) for part in numbers(data)] == [60, 7, 0]
    assert "own.csv: no test split (test = 0), so no row is left that had no part in a choice" in data.notes
    folds = load_folds("own.csv", target="y", test="last.csv", folds=3)
    assert [numbers(fold)[2] for fold in folds] == [list(range(100, 107))] * 3
    assert "own.csv: 3 folds of 60 rows, split at random" in folds[0].notes


def test_a_part_that_repeats_rows_of_the_table_is_told() -> None:
    whole = frame()
    whole.to_csv("own.csv", index=False)
    again = "last.csv: 3 of its 7 rows are also in own.csv, cell for cell: scores on rows that were learnt from are too"
    mixed = pd.concat([whole.iloc[[5, 2, 2]], frame(4).assign(row=range(100, 104))])
    mixed.to_csv("last.csv", index=False)
    for part in ("test", "val"):
        notes = load("own.csv", target="y", **{part: "last.csv"}).notes
        assert f"{again} good" in notes
    mixed.iloc[3:].to_csv("last.csv", index=False)
    assert not [note for note in load("own.csv", target="y", test="last.csv").notes if "cell for cell" in note]


def test_arrays_and_folders_take_a_test_part_from_another() -> None:
    rng = np.random.default_rng(0)
    np.savez("own.npz", x=rng.random((30, 2)), y=np.arange(30) % 3, who=np.arange(30) // 5)
    np.savez("late.npz", x=np.ones((4, 2)), y=[0, 1, 2, 2], who=np.full(4, 99))
    data = load("own.npz", test="late.npz", group="who", scale="none")
    assert data.x_test.tolist() == [[1, 1]] * 4
    assert data.y_test.tolist() == [0, 1, 2, 2]
    for folder, classes, count in (("own", "ab", 10), ("late", "b", 3)):
        for name in classes:
            Path(folder, name).mkdir(parents=True)
            for number in range(count):
                Image.new("L", (3, 3), number + (200 if folder == "late" else 0)).save(f"{folder}/{name}/{number}.png")
    with pytest.raises(RequestError, match=r"late needs a folder of images .* at least two classes"):
        load("own", test="late")
    Path("late/a").mkdir()
    Image.new("L", (3, 3), 250).save("late/a/0.png")
    images = load("own", test="late", scale="none")
    assert images.y_test.tolist() == [0, 1, 1, 1]
    assert images.x_test[:, 0].tolist() == [250, 200, 201, 202]
    assert len(images.x_val) == 4
    Path("odd/a").mkdir(parents=True)
    Path("odd/c").mkdir()
    for name in "ac":
        Image.new("L", (3, 3), 250).save(f"odd/{name}/0.png")
    with pytest.raises(RequestError, match=r"odd: class 'c' is in no folder of own \(it has: a, b\)"):
        load("own", test="odd")
    for name in "ac":
        Image.new("L", (4, 3), 250).save(f"odd/{name}/0.png")
    with pytest.raises(RequestError, match="odd: its images are 1 x 3 x 4, those of own are 1 x 3 x 3"):
        load("own", val="odd")
    with pytest.raises(RequestError, match="group: own is a folder of images, which has no column 'a'"):
        load("own", group="a")


def test_a_class_that_only_the_test_file_has_is_refused() -> None:
    pd.DataFrame({"x": range(40), "y": ["a", "b"] * 20}).to_csv("own.csv", index=False)
    pd.DataFrame({"x": range(4), "y": ["a", "b", "c", "a"]}).to_csv("late.csv", index=False)
    with pytest.raises(RequestError, match=r"late\.csv: class 'c' is in no row of own.csv, so it cannot be learnt"):
        load("own.csv", target="y", test="late.csv")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"dataset": "digits", "group": "pixel"}, "group 'pixel' is for data of your own, got dataset digits"),
        ({"dataset": "wine", "test": "late.csv"}, "test 'late.csv' is for data of your own, got dataset wine"),
        ({"dataset": "line", "test": 0.3}, "dataset line has test rows of its own, .*give --data n_test=N"),
        (
            {"dataset": "own.npz", "test": 0.3},
            "own.npz has test rows of its own, so test 0.3 has no place",
        ),
        ({"dataset": "own.npz", "test": "own3.npz"}, "own.npz has a test part of its own"),
        ({"dataset": "own.npz", "weights": "mass"}, "own.npz has no array 'mass' besides x_train"),
        (
            {"dataset": "own3.npz", "test": "own4.npz"},
            "own4.npz: its rows differ from those of own3.npz: 3 inputs of float",
        ),
        ({"dataset": "own3.npz", "val": "own.npz"}, "own.npz must hold x and y: it is one part of own3.npz"),
        ({"dataset": "own2.npz", "weights": "short"}, "short must hold one number or text for each of 30 rows"),
    ],
)
def test_a_test_part_that_a_data_set_has_is_kept(arguments: dict[str, Any], says: str) -> None:
    x, y = np.random.default_rng(0).random((30, 2)), np.arange(30) % 3
    np.savez("own.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    np.savez("own2.npz", x=x, y=y, short=np.ones(3))
    np.savez("own3.npz", x=x, y=y)
    np.savez("own4.npz", x=np.ones((4, 3)), y=[0, 1, 2, 0])
    with pytest.raises(RequestError, match=says):
        load(**arguments)
    assert len(load("own.npz", test=0).x_test) == 0
    assert len(load("line", test=0).x_test) == 0
