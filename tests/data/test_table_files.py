"""Tests of the formats and encodings of tables, and of raw cells for new rows."""

from __future__ import annotations

import gzip
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.data import HOMES, table

from search.data import frames, load, table_files
from search.data.column_kinds import parse
from search.errors import EnvironmentFault, RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

WORDS = "town,size,y\n" + "".join(
    f"{('Köln', 'Zürich', 'São Paulo')[i % 3]},{i}.5,{i * i % 11}.25\n" for i in range(24)
)


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", "own.csv: read as UTF-16"),
        ("utf-16-le", "own.csv: read as UTF-16-LE; --data encoding=NAME decides otherwise"),
        ("utf-16-be", "own.csv: read as UTF-16-BE; --data encoding=NAME decides otherwise"),
        ("utf-32", "own.csv: read as UTF-32"),
        ("cp1252", "own.csv: not UTF-8, read as Windows-1252; --data encoding=NAME decides otherwise"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_every_encoding_is_read(encoding: str, note: str, suffix: str) -> None:
    opened: Any = gzip.open if suffix == ".csv.gz" else open
    with opened(f"own{suffix}", "wb") as file:
        file.write(WORDS.encode(encoding))
    found = load(f"own{suffix}", target="y")
    assert {feature.equals for feature in found.columns} == {None, "Köln", "Zürich", "São Paulo"}
    assert found.notes[1:] == ((note.replace(".csv", suffix),) if note else ())
    assert found.name == "own"


def test_an_encoding_can_be_given() -> None:
    Path("own.csv").write_bytes("town,y\nŁódź,1\nGdańsk,2\n".encode("cp1250") * 1)
    cells = table_files.cells(Path("own.csv"), {"encoding": "cp1250"})
    assert cells["town"].tolist() == ["Łódź", "Gdańsk"]
    with pytest.raises(RequestError, match=r"own\.csv is not text in ascii: leave out --data encoding=ascii"):
        table_files.read(Path("own.csv"), {"encoding": "ascii"})
    Path("own.csv").write_bytes(b"a,b\n\x81\x8d,1\n")  # undefined in Windows-1252
    assert any("read as Latin-1" in note for note in table_files.read(Path("own.csv")).notes)
    Path("own.csv").write_bytes(b"a,b\n\x01,1\n")
    with pytest.raises(EnvironmentFault, match=r"own\.csv is not text: it holds the byte 1"):
        table_files.read(Path("own.csv"))


WRITERS: dict[str, Callable[[pd.DataFrame, str], Any]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    ".txt": lambda frame, path: frame.to_csv(path, index=False, sep="|"),
    ".csv.gz": lambda frame, path: frame.to_csv(path, index=False),
    ".tsv.gz": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    ".parquet": lambda frame, path: frame.to_parquet(path),
    ".feather": lambda frame, path: frame.to_feather(path),
    ".xlsx": lambda frame, path: frame.to_excel(path, index=False),
}


def people() -> pd.DataFrame:
    rows = np.arange(40)
    return pd.DataFrame(
        {
            "size": np.where(rows % 7 == 3, np.nan, rows * 1.5),
            "town": np.array(["Ulm", "Bern", None], dtype=object)[rows % 3],
            "member": rows % 2 == 0,
            "since": pd.date_range("2024-01-30", periods=40, freq="9h"),
            "y": np.sin(rows),
        }
    )


def test_every_format_holds_the_same_table() -> None:
    expected = None
    assert set(WRITERS) | {".txt.gz"} == set(table_files.SUFFIXES)
    for suffix, write in WRITERS.items():
        write(people(), f"own{suffix}")
        data = load(f"own{suffix}", target="y")
        assert data.name == "own"
        expected = expected or data.fingerprint()
        assert data.fingerprint() == expected, suffix
    read = frames.read(people())
    assert {name: spec.kind for name, spec in read.specs.items()} == {
        "size": "number",
        "town": "category",
        "member": "category",
        "since": "date",
        "y": "number",
    }
    for suffix in WRITERS:
        other = table_files.read(Path(f"own{suffix}"))
        for name, column in read.columns.items():
            if name == "y" and suffix == ".xlsx":  # a spreadsheet keeps 15 digits
                np.testing.assert_allclose(other.columns[name], column, rtol=1e-14)
            else:
                np.testing.assert_array_equal(other.columns[name], column)


def test_large_keys_stay_apart_beside_missing_ones() -> None:
    keys = pd.array([2**60 + 1, 2**60 + 2, None] * 10, dtype="Int64")
    pd.DataFrame({"key": keys, "y": np.arange(30.0)}).to_parquet("own.parquet")
    assert set(table_files.read(Path("own.parquet")).columns["key"]) == {str(2**60 + 1), str(2**60 + 2), None}


def test_new_rows_are_read_as_the_old_ones() -> None:
    """The raw cells of a file, parsed by the specs of another, are its values: one row is enough."""
    people().to_csv("old.csv", index=False)
    specs = table_files.read(Path("old.csv")).specs
    for suffix, write in WRITERS.items():
        write(people().iloc[4:5], f"new{suffix}")
        cells = table_files.cells(Path(f"new{suffix}"))
        assert list(cells) == list(specs)
        for name, spec in specs.items():
            np.testing.assert_array_equal(
                parse(spec, cells[name].to_numpy()), table_files.read(Path("old.csv")).columns[name][4:5]
            )


def test_new_rows_need_no_guess() -> None:
    table("1,2\n5,6\n")
    assert table_files.cells(Path("homes.csv")).to_dict("list") == {"1": ["5"], "2": ["6"]}
    assert table_files.cells(Path("homes.csv"), {"header": False}).to_dict("list") == {"1": ["1", "5"], "2": ["2", "6"]}
    table(" a ;;a\nx;;1\n")
    assert list(table_files.cells(Path("homes.csv"))) == ["a", "column 2", "a.2"]


def test_a_cell_may_hold_line_breaks_and_separators() -> None:
    table('name;text;y\n"a;b";"first\nsecond";1\n\n"say ""x""";" ";2\n')
    read = table_files.read(Path("homes.csv"))
    assert read.columns["name"].tolist() == ["a;b", 'say "x"']
    assert read.columns["text"].tolist() == ["first\nsecond", None]
    assert [read.place_of_row(row) for row in range(2)] == ["line 2", "line 5"]


def test_a_spreadsheet_may_begin_below_and_have_several_sheets() -> None:
    openpyxl = importlib.import_module("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    book.active.append(["hello"])
    sheet = book.create_sheet("Data")
    for row in ([], ["a", "b", None, "y"], [1, "01", None, 0.5], [], ["2", "?", None, 1.5]):
        sheet.append(row)
    book.save("own.xlsx")
    read = table_files.read(Path("own.xlsx"), {"sheet": "Data"})
    assert read.columns["a"].tolist() == [1, 2]  # a number that was stored as text
    assert list(read.columns) == ["a", "b", "y"]
    assert [read.place_of_row(row) for row in range(2)] == ["row 3", "row 5"]
    with pytest.raises(RequestError, match=r"unknown sheet of own\.xlsx 'Dat': did you mean 'Data'"):
        table_files.read(Path("own.xlsx"), {"sheet": "Dat"})
    with pytest.raises(RequestError, match="has no rows"):
        table_files.read(Path("own.xlsx"))
    Path("own.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(EnvironmentFault, match=r"own\.xlsx is not a complete \.xlsx file"):
        table_files.read(Path("own.xlsx"))


def test_without_openpyxl_one_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("own.xlsx").touch()
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    says = r"own\.xlsx needs openpyxl, which is not installed: `pip install openpyxl`, or save the sheet as \.csv$"
    with pytest.raises(EnvironmentFault, match=says):
        load("own.xlsx", target="y")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_compressed_file_cut_short_is_damaged(share: float) -> None:
    people().to_csv("own.csv.gz", index=False)
    whole = Path("own.csv.gz").read_bytes()
    Path("own.csv.gz").write_bytes(whole[: round(share * len(whole))])
    with pytest.raises((EnvironmentFault, RequestError), match=r"own\.csv\.gz is (not a complete \.gz file|empty)"):
        load("own.csv.gz", target="y")
    Path("own.csv.gz").write_text(HOMES)
    with pytest.raises(EnvironmentFault, match=r"own\.csv\.gz is not a complete \.gz file: Not a gzipped file"):
        load("own.csv.gz", target="price")


def test_a_frame_keeps_its_types() -> None:
    frame = pd.DataFrame(
        {
            "code": ["1", "2"] * 10,
            "kind": pd.Categorical([1, 2] * 10),
            "truth": pd.array([True, None] * 10, dtype="boolean"),
            "whole": pd.array([1, None] * 10, dtype="Int64"),
            "zone": pd.date_range("2024-01-01", periods=20, tz="Europe/Berlin"),
            "month": pd.period_range("2024-01", periods=20, freq="M"),
            "span": pd.to_timedelta(np.arange(20), unit="min"),
            "text": pd.Series([f"2024-01-{day + 1:02}" for day in range(20)], dtype="string"),
            "mixed": [1, "?"] * 10,
            3: np.arange(20.0),
        }
    )
    read = frames.read(frame)
    kinds = {name: spec.kind for name, spec in read.specs.items()}
    assert kinds == {
        "code": "category",
        "kind": "category",
        "truth": "category",
        "whole": "number",
        "zone": "date",
        "month": "date",
        "span": "number",
        "text": "date",
        "mixed": "number",
        "3": "number",
    }
    assert read.columns["truth"].tolist() == ["True", None] * 10
    assert read.columns["zone"][0] == pd.Timestamp("2024-01-01", tz="Europe/Berlin").timestamp()
    assert read.columns["span"].tolist() == [60.0 * i for i in range(20)]
    assert any(
        "text that reads as numbers, kept as text; --column NAME=number reads it: code ('1')" in n for n in read.notes
    )
    assert frames.read(frame, columns={"code": "number"}).columns["code"].tolist() == [1, 2] * 10
    with pytest.raises(RequestError, match="data frame has no rows"):
        frames.read(frame.iloc[:0])
    with pytest.raises(RequestError, match="data frame has no column 'cod': did you mean 'code'"):
        frames.read(frame, columns={"cod": "number"})
    assert frame.columns.tolist()[-1] == 3  # the frame itself is as it was
