"""Tests of what is refused in a user's table, or in a request about it, and of the error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.data import HOMES, table

from search.data import load
from search.errors import EnvironmentFault, RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

CSV_FAULTS: list[tuple[str, str, str, type[Exception]]] = [
    ("", "price", "homes.csv is empty: its first line must name the columns", RequestError),
    ("a,price\n", "price", "homes.csv has no rows", RequestError),
    ("a price\n1 2\n", "price", "has one column: .*; --data separator=SIGN says what stands between", RequestError),
    ("a,price\n1,2\n3\n", "price", "line 3 has 1 cell, line 1 names 2 columns", EnvironmentFault),
    ("a,price\n1,2\n3,4,5\n", "price", "line 3 has 3 cells, line 1 names 2 columns", EnvironmentFault),
    ('a,price\n1,2\n"3,4\n', "price", "cannot read homes.csv: line 3: unexpected end of data", EnvironmentFault),
    # The line is that of an editor where the row begins: blank lines and those within quotes count.
    ('a,price\n1,2\n"3\n4",5,6\n', "price", "line 3 has 3 cells", EnvironmentFault),
    ('\na,price\n"1\n2",2\n\n3\n', "price", "line 6 has 1 cell,", EnvironmentFault),
    ('a,price\n1,2\n3,4\n"3\n4\n', "price", "cannot read homes.csv: line 4: unexpected end", EnvironmentFault),
    ('\na,price\n"1\n2",2\n\n"3\n4",\n5,6\n', "price", "target 'price' is missing in line 6", RequestError),
    (HOMES, "prize", "no column 'prize': did you mean 'price'. .it has: town, rooms, price, garden.", RequestError),
    (HOMES, "price,price", "target 'price,price' names 'price' twice", RequestError),
    (HOMES, "rooms", "target 'rooms' is missing in line 3", RequestError),
    (HOMES, "town", "target 'town' is missing in line 5", RequestError),
    (HOMES, "town,price", "target 'town,price' is missing in line 5", RequestError),
    (HOMES.replace("1.25", "inf"), "price", "target 'price' is infinite in line 5", RequestError),
    (HOMES.replace(",4,", ",-inf,"), "price", "column 'rooms' is infinite in line 5", RequestError),
    (HOMES.replace(",4,", ",1e39,"), "price", "'rooms' has a number of 1e.39: too large for float32", RequestError),
    ("a,y\n1,2\n2,3\n", "y", "split .* of 2 rows leaves a part without rows", RequestError),
    ("a,y\n" + "1,2\n2,2\n" * 9, "y", "target 'y' is '2' in every row: there is nothing to learn", RequestError),
    ("a,y\n" + "1,cat\n2,cat\n" * 9, "y", "target 'y' is 'cat' in every row", RequestError),
    ("a,y\n" + "".join(f"{i},n{i}\n" for i in range(9)), "y", "9 different values in 9 rows: too many", RequestError),
    (
        "a,y\n1,1\n2,\n3,x\n4,NA\n",
        "y",
        "'y' is missing in line 3 .2 rows in all.*=drop.*keep=NA makes 'NA'",
        RequestError,
    ),
    ("a,y\n" + "1,1.5\n1,2\n" * 9, "y", "no column to learn from .*the same in every training row: a", RequestError),
    (
        "a,y\n" + "1,2020-01-05\n2,2020-02-05\n" * 9,
        "y",
        "target 'y' holds dates: only numbers and classes",
        RequestError,
    ),
    (
        "a,y\n" + "".join(f"{i % 4},{1700000000 + i}.5\n" for i in range(20)),
        "y",
        "which float32 cannot tell apart: subtract",
        RequestError,
    ),
]


@pytest.mark.parametrize(("text", "target", "says", "kind"), CSV_FAULTS, ids=range(len(CSV_FAULTS)))
def test_what_is_wrong_with_a_table_is_named(text: str, target: str, says: str, kind: type[Exception]) -> None:
    table(text)
    with pytest.raises(kind, match=says):
        load("homes.csv", target=target)


def test_text_of_many_values_is_hashed_or_left_out() -> None:
    table("street,x,y\n" + "".join(f"s{i % 1500},{i},{i}.5\n" for i in range(3000)))
    data = load("homes.csv", target="y")
    assert data.features == 65
    assert any("column 'street' has more than 1,000 different texts: a hash" in note for note in data.notes)
    assert load("homes.csv", target="y", options={"drop": "street"}).features == 1


def test_a_parquet_file_may_hold_what_no_table_should() -> None:
    frame = pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20) * 0.5})
    for name, column, says in (
        ("lists", [[1, 2]] * 20, "column 'lists' holds .* objects: only numbers, text and dates"),
        ("bytes", [b"a"] * 20, "column 'bytes' holds bytes objects"),
    ):
        frame.assign(**{name: column}).to_parquet("own.parquet")
        with pytest.raises(RequestError, match=says):
            load("own.parquet", target="y")
        assert load("own.parquet", target="y", options={"drop": name}).features == 1
    whole = pd.array([None, *range(19)], dtype="Int64")
    frame.assign(kind=pd.Categorical(["a", "b"] * 10), whole=whole).to_parquet("own.parquet")
    described = [str(feature) for feature in load("own.parquet", target="y").columns]
    assert [name for name in described if name != "whole missing"] == ["x", "whole", "kind = a", "kind = b"]
    two = pa.table([pa.array(range(20)), pa.array(range(20)), pa.array(range(20))], names=["x", "x", "y"])
    pq.write_table(two, "own.parquet")
    notes = load("own.parquet", target="y").notes
    assert notes[1] == "own.parquet: names that are empty or given twice: column 2 'x' is called 'x.2'"
    # Types are kept: a text that looks like a number, such as a postcode, stays text.
    frame.assign(code=["01", "02"] * 10).to_parquet("own.parquet")
    assert [str(feature) for feature in load("own.parquet", target="y").columns] == ["x", "code = 01", "code = 02"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"dataset": "house.csv"}, "there is no dataset 'house.csv': did you mean 'homes.csv'"),
        ({"dataset": "homes"}, "unknown dataset 'homes': did you mean 'homes.csv'"),
        (
            {"dataset": "house"},
            "unknown dataset 'house'.* wine; or a path: .csv, .tsv, .xlsx, .parquet, .feather, .npz or a folder",
        ),
        ({"dataset": "no/homes.csv"}, "there is no dataset 'no/homes.csv'$"),
        (
            {"dataset": "notes.doc"},
            "dataset 'notes.doc' has an unknown suffix: give .csv, .tsv, .xlsx, .parquet",
        ),
        ({"dataset": "folder.csv"}, "dataset 'folder.csv' is a folder"),
        ({"dataset": "/dev/null"}, "dataset '/dev/null' is not a file"),
        ({"dataset": "a\x00/b.csv"}, "there is no dataset"),
        ({"dataset": "x" * 5000 + ".csv"}, r"there is no dataset .*\(5,004 characters\)"),
        ({"target": None}, r"needs --target COLUMN, or target .* \(it has: town, rooms, price, garden\)"),
        (
            {"validation": "test"},
            "validation 'test' needs data with a test part; for homes.csv use 'train'",
        ),
        ({"options": {"tsak": 1}}, "unknown option of homes.csv 'tsak': did you mean 'task'"),
        ({"options": {"task": "ranking"}}, "unknown task of homes.csv: target 'price' 'ranking'"),
        ({"options": {"drop": ["town", "rom"]}}, "no column 'rom': did you mean 'rooms'"),
        ({"options": {"drop": "price"}}, "no column 'price'"),
        ({"columns": {"rom": "number"}}, "no column 'rom': did you mean 'rooms'"),
        ({"columns": {"rooms": "numbr"}}, "unknown kind of column 'rooms' 'numbr': did you mean 'number'"),
        ({"columns": {"town": "number"}}, "column 'town' holds numbers, and 'A' in line 2: .*missing=A"),
        ({"options": {"dates": "never"}}, "unknown value of --data dates 'never' .known: day-first, drop, month-first"),
        ({"options": {"decimal": ";"}}, "--data decimal must be point or comma, got ';'"),
        ({"options": {"header": "maybe"}}, "--data header must be yes or no, got 'maybe'"),
        ({"options": {"separator": "ab"}}, "separator must be one sign or one of semicolon, tab, bar, comma"),
        ({"options": {"encoding": "klingon"}}, "unknown encoding 'klingon': give one such as utf-8"),
        ({"options": {"missing_target": "keep"}}, "--data missing_target must be drop, got 'keep'"),
        (
            {"dataset": "wine", "target": None, "columns": {"a": "number"}},
            "--column is for a table .*, got dataset wine",
        ),
        ({"target": "garden", "options": {"task": "regression", "drop": "town"}}, "missing in line 5"),
        ({"dataset": "digits"}, "target 'price' is for a table .*, got dataset digits"),
        ({"dataset": "homes.npz"}, "target 'price' is for a table .*, got homes.npz"),
    ],
)
def test_a_wrong_request_is_refused(arguments: dict[str, Any], says: str) -> None:
    table(HOMES)
    Path("notes.doc").touch()
    Path("homes.npz").touch()
    Path("folder.csv").mkdir()
    with pytest.raises(RequestError, match=says):
        load(**{"dataset": "homes.csv", "target": "price", **arguments})
