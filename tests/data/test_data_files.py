"""Tests of a user's own tables: small ones written by hand, and scikit-learn's data sets written to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from support.data import HOMES, table

from search.data import Data, Feature, load

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def rows_of(data: Data) -> set[tuple[float, ...]]:
    """Return all rows of an unscaled regression: the features, then the targets in the user's units."""
    assert data.targets is not None
    parts = ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test))
    return {
        (*x.tolist(), *(round(value, 5) for value in data.targets.invert(y).tolist()))
        for xs, ys in parts
        for x, y in zip(xs, ys, strict=True)
    }


def test_a_table_by_hand() -> None:
    """The split trains rows 3, 5, 4 and 7: 3, 1, 4 and 3 rooms; towns A, B, none, A. There is no C there."""
    data = load(table(HOMES), target="price", scale="none")
    assert data.columns == (
        Feature("rooms", fill=3.0),
        Feature("town", equals="A"),
        Feature("town", equals="B"),
        Feature("town", missing=True),
        Feature("garden", equals="False"),
        Feature("garden", equals="True"),
        Feature("garden", missing=True),
    )
    assert rows_of(data) == {
        (2, 1, 0, 0, 0, 1, 0, 1.5),
        (3, 0, 1, 0, 1, 0, 0, 2.5),  # a missing number of rooms: the median of 1, 3, 3, 4
        (3, 1, 0, 0, 0, 1, 0, 3.5),
        (4, 0, 0, 1, 0, 0, 1, 1.25),
        (1, 0, 1, 0, 1, 0, 0, 3),
        (2, 0, 0, 0, 0, 1, 0, 2),  # a town that no training row has
        (3, 1, 0, 0, 1, 0, 0, 3),
        (5, 0, 1, 0, 0, 1, 0, 5.5),
    }
    assert data.x_train.shape == (4, 7)
    assert (data.task, data.name, data.outputs, data.classes, data.pixel_max) == ("regression", "homes", 1, (), None)
    assert data.notes == ("homes.csv: regression, 1 target in price; 3 columns, 7 inputs",)


def test_what_is_fitted_is_fitted_on_training_rows() -> None:
    """Medians and means are those of the training rows, and a changed value in a test row changes no other row."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=40), "b": rng.normal(size=40), "y": rng.normal(size=40)})
    frame.loc[frame.index % 4 == 0, "a"] = np.nan
    frame.to_csv("before.csv", index=False)
    before = load("before.csv", target="y")
    # The targets tell which rows are test rows.
    assert before.targets is not None
    tested = before.targets.invert(before.y_test)[:, 0].numpy()
    is_test = np.isclose(frame["y"].to_numpy()[:, None], tested[None], rtol=1e-4, atol=1e-5).any(1)
    assert is_test.sum() == 8
    frame.loc[is_test, ["a", "b"]] = 1000.0
    frame.to_csv("after.csv", index=False)
    after = load("after.csv", target="y")
    for name in ("x_train", "x_val", "y_train", "y_test"):
        assert torch.equal(getattr(after, name), getattr(before, name))
    assert torch.equal(after.inputs.shift, before.inputs.shift)
    assert not torch.equal(after.x_test, before.x_test)
    assert before.columns[0].column == "a"
    assert before.columns == (
        Feature("a", fill=before.columns[0].fill),
        *before.columns[1:2],
        Feature("a", missing=True),
    )
    known = before.inputs.invert(before.x_train)
    seen = known[:, 0][known[:, 2] < 0.5]
    assert before.columns[0].fill == pytest.approx(float(np.median(seen.numpy())), abs=1e-5)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_the_digits_written_to_a_table_are_the_digits(kind: str) -> None:
    frame = load_digits(as_frame=True).frame
    frame.to_csv("own.csv", index=False) if kind == "csv" else frame.to_parquet("own.parquet")
    own, known = load(f"own.{kind}", target="target"), load("digits")
    # These pixels are constant because nothing is ever drawn on them.
    kept = [list(frame.columns).index(feature.column) for feature in own.columns]
    assert len(kept) == 61
    for name in ("x_train", "x_val", "x_test"):
        assert torch.equal(getattr(own, name), getattr(known, name)[:, kept])
    for name in ("y_train", "y_val", "y_test"):
        assert torch.equal(getattr(own, name), getattr(known, name))
    assert own.classes == known.classes
    assert own.notes[1] == f"own.{kind}: left out, the same in every training row: pixel_0_0, pixel_4_0, pixel_4_7"


def test_a_regression_written_to_a_table_is_itself() -> None:
    load_diabetes(as_frame=True, scaled=False).frame.to_csv("own.csv", index=False)
    own, known = load("own.csv", target="target", seed=3), load("diabetes", seed=3)
    assert own.fingerprint() == known.fingerprint()
    assert [feature.column for feature in own.columns] == load_diabetes().feature_names


def test_classes_keep_their_names() -> None:
    bunch = load_breast_cancer(as_frame=True)
    frame = bunch.frame.drop(columns="target").assign(diagnosis=bunch.target_names[bunch.target])
    frame.to_csv("own.csv", index=False)
    own, known = load("own.csv", target="diagnosis"), load("breast-cancer")
    assert own.classes == ("benign", "malignant")
    assert known.classes == ("malignant", "benign")
    counts = [torch.bincount(data.y_train).tolist() for data in (own, known)]
    assert counts[0] == counts[1][::-1]


@pytest.mark.parametrize(
    ("values", "options", "task", "classes"),
    [
        (["cat", "dog"] * 6, {}, "classification", ("cat", "dog")),
        ([True, False] * 6, {}, "classification", ("False", "True")),
        ([3, -1, 10] * 4, {}, "classification", ("-1", "3", "10")),
        ([1.0, 2.0] * 6, {}, "classification", ("1", "2")),
        ([1.0, 2.5] * 6, {}, "regression", ()),
        ([*range(6)] * 2, {}, "classification", tuple("012345")),
        ([*range(7), 0, 0, 0, 0, 0], {}, "regression", ()),  # 7 values are more than half of 12 rows
        ([*range(20)] * 2, {}, "classification", tuple(map(str, range(20)))),
        ([*range(21)] * 2, {}, "regression", ()),
        ([*range(21)] * 2, {"task": "classification"}, "classification", tuple(map(str, range(21)))),
        ([1.0, 2.5] * 6, {"task": "classification"}, "classification", ("1", "2.5")),
        ([0, 1] * 6, {"task": "regression"}, "regression", ()),
    ],
)
def test_the_task_is_inferred(values: list[Any], options: dict[str, Any], task: str, classes: tuple[str, ...]) -> None:
    frame = pd.DataFrame({"x": np.arange(len(values)) ** 2, "y": values})
    frame.to_csv("own.csv", index=False)
    frame.to_parquet("own.parquet")
    np.savez("own.npz", x=frame[["x"]].to_numpy(), y=np.array(values))
    tables = [load(f"own.{kind}", target="y", options=options) for kind in ("csv", "parquet")]
    for data in (*tables, load("own.npz", options=options)):
        assert (data.task, data.classes) == (task, classes)
        assert data.fingerprint() == tables[0].fingerprint()


def test_several_targets_are_a_regression_of_several_outputs() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(20, 4)), columns=["x", "u", "v", "u,v"])
    frame.to_csv("own.csv", index=False)
    both = load("own.csv", target="v, u", scale="none")
    assert both.outputs == 2
    assert [feature.column for feature in both.columns] == ["x", "u,v"]
    expected = {tuple(round(value, 5) for value in row) for row in frame[["v", "u"]].to_numpy(np.float32).tolist()}
    assert {row[2:] for row in rows_of(both)} == expected
    # A column whose whole name matches comes first.
    assert load("own.csv", target="u,v").outputs == 1


def test_columns_that_say_nothing_are_left_out_and_named() -> None:
    frame = pd.DataFrame(
        {
            "": range(30),
            "name": [f"n{i}" for i in range(30)],
            "same": 1.5,
            "none": np.nan,
            "only": "text",
            "x": np.arange(30) % 7,
            "y": np.arange(30) * 1.5,
        }
    )
    frame.to_csv("own.csv", index=False)
    data = load("own.csv", target="y", options={"drop": [""]})
    assert [feature.column for feature in data.columns] == ["x"]
    assert data.notes == (
        "own.csv: regression, 1 target in y; 1 column, 1 input",
        "own.csv: left out, the same in every training row: same, only",
        "own.csv: left out, missing in every training row: none",
        "own.csv: left out, a column without a name that counts the rows: column 1",
        "own.csv: left out, text that is different in every row (--column NAME=category keeps it): name",
    )


def test_a_class_of_one_row_is_split_all_the_same_and_said() -> None:
    table("x,y\n" + "".join(f"{i},{'a' if i % 2 else 'b'}\n" for i in range(30)) + "99,rare\n")
    data = load("homes.csv", target="y")
    assert data.classes == ("a", "b", "rare")
    assert data.notes[1] == (
        "homes.csv: class 'rare' has 1 row, too few for a share of each part: rows are split without regard to class"
    )


def test_spreadsheets_of_many_sorts_are_read() -> None:
    text = HOMES.replace(",", ", ").replace("\n", "\r\n")
    Path("excel.csv").write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    assert load("excel.csv", target="price").fingerprint() == load(table(HOMES), target="price").fingerprint()
    table('"a ""b"", c",y\n' + "".join(f'"{i}",{i * i}.5\n' for i in range(9)), "quoted.CSV")
    assert load("quoted.CSV", target="y").columns[0].column == 'a "b", c'


HUGE = [2**70, -(2**65), 0, 5, 2**64] * 4


def test_whole_numbers_beyond_64_bits_are_numbers() -> None:
    pd.DataFrame({"x": HUGE, "y": np.arange(20.0)}).to_csv("own.csv", index=False)
    data = load("own.csv", target="y", scale="none")
    assert [feature.column for feature in data.columns] == ["x"]
    assert {row[0] for row in rows_of(data)} == set(map(float, HUGE))


def test_names_cannot_write_to_the_terminal() -> None:
    table('"a\n\x1b[31m",x,y\n' + "".join(f"1,{i},{i}.5\n" for i in range(20)))
    notes = load("homes.csv", target="y").notes
    assert notes[1] == r"homes.csv: left out, the same in every training row: 'a\n\x1b[31m'"
