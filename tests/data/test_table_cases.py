"""Tables as people have them: what each needs is done and said, or is named in one line with what would work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.data import table
from support.tables import ROWS, columns, days, lines

from search.data import load, table_files
from search.errors import RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")

PLAIN = lines(lambda _i, a, b, y: (a, b, y))


CASES: Mapping[str, tuple[str, set[str], str]] = {
    "one ? in a column of numbers": (
        lines(lambda i, a, b, y: ("?" if i == 17 else a, b, y)),
        {"a", "b"},
        "words taken for missing; --data keep=WORD makes a word a value: a ('?' in line 19)",
    ),
    "a few - in a column of numbers": (
        lines(lambda i, a, b, y: ("-" if i % 9 == 0 else a, b, y)),
        {"a", "b"},
        "a ('-' in 7 cells, the first in line 2)",
    ),
    "currency": (
        lines(lambda i, _a, b, y: (f'"${2622 + 1711 * i:,}"', b, y)),
        {"a", "b"},
        "numbers with thousands separators and a currency; --data decimal=comma reads them otherwise: a ('$",
    ),
    "text that nearly always differs": (
        lines(lambda i, _a, b, y: (f"T{i * i % 61}", b, y)),
        {"b"},
        "left out, text nearly all of whose values are different (--column NAME=category keeps it): a",
    ),
    "days first": (
        lines(lambda i, _a, b, y: (f"{days(i)}-01-2024", b, y)),
        {"a", "b"},
        "dates, day first (--data dates=month-first reads them otherwise); --data dates=drop leaves them out, --column"
        " NAME=KIND decides otherwise: a ('13-01-2024' is 2024-01-13)",
    ),
    "days first or months first": (
        lines(lambda i, _a, b, y: (f"0{i % 9 + 1}-01-2024", b, y)),
        {"a", "b"},
        "dates that could begin with day or month, read with the day first; --data dates=month-first",
    ),
    "an unknown date": (
        lines(lambda i, _a, b, y: ("unknown" if i == 3 else f"2024-01-{days(i)}", b, y)),
        {"a", "b"},
        "words taken for missing; --data keep=WORD makes a word a value: a ('unknown' in line 5)",
    ),
    "dates in words": (
        lines(lambda i, _a, b, y: (f'"Jan {i % 28 + 1}, 2024"', b, y)),
        {"a", "b"},
        "a ('Jan 13, 2024' is 2024-01-13)",
    ),
    "times": (
        lines(lambda i, _a, b, y: (f"{i % 24:02}:{i:02}", b, y)),
        {"a", "b"},
        "times of the day; --column NAME=KIND decides otherwise: a ('00:00' is 00:00:00)",
    ),
    "seconds since 1970": (
        lines(lambda i, _a, b, y: (1_700_000_000 + 60 * i, b, y), "ts,b,y"),
        {"ts", "b"},
        "--data dates=drop leaves them out, --column NAME=KIND decides otherwise: ts ('1700000000' is 2023-11-14",
    ),
    "keys of 19 digits": (
        lines(lambda i, a, b, y: (1_234_567_890_123_456_789 + 3 * i, a, b, y), "id,a,b,y"),
        {"a", "b"},
        "left out, text that is different in every row (--column NAME=category keeps it): id",
    ),
    "a key that counts": (
        lines(lambda i, a, b, y: (i + 1001, a, b, y), "customer_id,a,b,y"),
        {"a", "b"},
        "left out, numbers that name the rows (--column NAME=number keeps them): customer_id",
    ),
    "an index without a name": (
        lines(lambda i, a, b, y: (i, a, b, y), ",a,b,y"),
        {"a", "b"},
        "left out, a column without a name that counts the rows: column 1",
    ),
    "an index that pandas has named": (
        lines(lambda i, a, b, y: (i, a, b, y), "Unnamed: 0,a,b,y"),
        {"a", "b"},
        "left out, a column without a name that counts the rows: column 1",
    ),
    "a class called None": (
        lines(lambda i, a, b, _y: (a, b, ("None", "Mild", "Severe")[i % 3])),
        {"a", "b"},
        "classification, 3 classes in y",
    ),
    "semicolons": (
        PLAIN.replace(",", ";"),
        {"a", "b"},
        "columns separated by semicolons; --data separator=SIGN decides otherwise",
    ),
    "decimal commas": (
        PLAIN.replace(",", ";").replace(".", ","),
        {"a", "b"},
        "numbers with decimal commas",
    ),
    "vertical bars": (PLAIN.replace(",", "|"), {"a", "b"}, "columns separated by vertical bars"),
    "tabs": (PLAIN.replace(",", "\t"), {"a", "b"}, "columns separated by tabs"),
    "Excel's line of the separator": ("sep=;\n" + PLAIN.replace(",", ";"), {"a", "b"}, "separated by semicolons"),
    "99 to 1": (
        lines(lambda i, a, b, _y: (a, b, int(i in (3, 30)))),
        {"a", "b"},
        "96.7% of the rows are '0', so always guessing it is 96.7% accurate; '1' has 2 rows. Judge by --objective",
    ),
    "blanks around everything": (PLAIN.replace(",", " , "), {"a", "b"}, "2 classes in y"),
    "empty columns": (
        lines(lambda _i, a, b, y: (a, "", b, "", y), "a,,b,,y"),
        {"a", "b"},
        "left out, 2 empty columns without a name: column 2, column 4",
    ),
    "a column without a name": (
        lines(lambda i, a, b, y: (a, i % 5, b, y), "a,,b,y"),
        {"a", "b", "column"},
        "names that are empty or given twice: column 2 '' is called 'column 2'",
    ),
    "two columns of one name": (
        lines(lambda i, a, b, y: (a, i % 5, b, y), "a,a,b,y"),
        {"a", "a.2", "b"},
        "names that are empty or given twice: column 2 'a' is called 'a.2'",
    ),
    "a comment": ("# exported 2024\n" + PLAIN, {"a", "b"}, "passed over, line 1 that begins with #"),
    "comments anywhere": ('#"\n#a,b\n' + PLAIN + "# end\n", {"a", "b"}, "passed over, lines 1, 2 that begin with #"),
    "a comment in the middle": (
        PLAIN.replace("\n", "\n# here\n", 2),
        {"a", "b"},
        "passed over, lines 2, 4 that begin with #",
    ),
    "names after #": ("#" + PLAIN, {"a", "b"}, "line 1 begins with #, and names the columns all the same"),
    "names of rows, as R writes them": (
        lines(lambda i, a, b, y: (i + 1, a, b, y)),
        {"a", "b"},
        "left out, a column without a name that counts the rows: column 1",
    ),
    "a separator at the end of each line": (
        lines(lambda _i, a, b, y: (a, b, y, "")),
        {"a", "b"},
        "left out, 1 empty column without a name: column 4",
    ),
    "postcodes": (
        lines(lambda i, _a, b, y: (f"0{1000 + i % 4}", b, y)),
        {"a", "b"},
        "kept as text, because a cell begins with 0; --column NAME=number reads numbers: a ('01000')",
    ),
    "true and TRUE": (
        lines(lambda i, _a, b, y: (("true", "TRUE", "no", "0")[i % 4], b, y)),
        {"a", "b"},
        "spellings of the same two values: a ('true', 'TRUE', 'no', '0')",
    ),
    "NA among words": (
        lines(lambda i, _a, b, y: (("NA", "DE", "FR")[i % 3], b, y)),
        {"a", "b"},
        "words taken for missing; --data keep=WORD makes a word a value: a ('NA' in 20 cells, the first in line 2)",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_table_as_people_have_it(case: str) -> None:
    text, expected, says = CASES[case]
    data = load(table(text), target="y")
    assert columns(data) == expected
    assert data.task == "classification"
    assert len(data.x_train) + len(data.x_val) + len(data.x_test) == len(ROWS)
    assert any(says in note for note in data.notes), data.notes
    assert all("\n" not in note for note in data.notes)
    # No date, key or name becomes one input for each of its values.
    assert data.features <= 16


PLAIN_CASES = ("semicolons", "decimal commas", "tabs", "blanks around everything", "empty columns", "a comment")
PLAIN_CASES += ("names of rows, as R writes them", "a separator at the end of each line")
PLAIN_CASES += (
    "comments anywhere",
    "names after #",
    "an index without a name",
    "keys of 19 digits",
    "a key that counts",
)


@pytest.mark.parametrize("case", PLAIN_CASES)
def test_however_it_is_written_it_is_the_same_data(case: str) -> None:
    assert load(table(CASES[case][0]), target="y").fingerprint() == load(table(PLAIN), target="y").fingerprint()


def test_a_first_line_of_numbers_is_data() -> None:
    rows = [(a, b, int(y == "yes")) for a, b, y in ROWS]
    table("".join(f"{a},{b},{y}\n" for a, b, y in rows))
    says = "the first line looks like data .*: --data header=no reads it as a row and calls the columns 1 to 3"
    with pytest.raises(RequestError, match=says):
        load("homes.csv", target="1")
    data = load("homes.csv", target="3", options={"header": "no"})
    assert len(data.x_train) + len(data.x_val) + len(data.x_test) == len(rows)
    named = load("homes.csv", target="1", options={"header": "yes"})
    assert len(named.x_train) + len(named.x_val) + len(named.x_test) == len(rows) - 1
    # A word gives it away too, if its column holds the same word again.
    table("".join(f"{a},{b},{y}\n" for a, b, y in ROWS))
    with pytest.raises(RequestError, match="the first line looks like data"):
        load("homes.csv", target="3")
    table("x,y,z\n" * 2 + "u,v,w\n" * 9)
    with pytest.raises(RequestError, match="the first line looks like data"):
        load("homes.csv", target="z")
    # Numbers that count are names.
    table("0,1,2\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    assert load("homes.csv", target="2").features == 2
    said = "homes.csv: the first line of numbers was taken for the names; --data header=no reads it as a row"
    assert said in load("homes.csv", target="2").notes
    table("5,6,7\n" + "".join(f"{i},{i % 4},{i % 2}\n" for i in range(30)))
    with pytest.raises(RequestError, match="the first line looks like data"):
        load("homes.csv", target="7")


def test_a_row_of_totals_is_named() -> None:
    table(PLAIN + "Total,,\n")
    says = "homes.csv: column 'a' holds numbers, and 'Total' in line 62, the last row: delete it if it is a total"
    with pytest.raises(RequestError, match=says):
        load("homes.csv", target="y")
    table(lines(lambda i, _a, b, y: ("Total" if i == 59 else ("Ulm", "Bern")[i % 2], b, y)))
    says = "column 'a' holds 'Total' in line 61: it is a total, to be deleted, or --column a=category keeps it"
    with pytest.raises(RequestError, match=says):
        load("homes.csv", target="y")
    assert table_files.read(Path("homes.csv"), columns={"a": "category"}).columns["a"][-1] == "Total"


OVERRIDES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("postcodes", {"columns": {"a": "number"}}, {"a", "b"}),
    ("times", {"columns": {"a": "category"}}, {"a", "b"}),
    ("text that nearly always differs", {"columns": {"a": "category"}}, {"a", "b"}),
    ("a key that counts", {"columns": {"customer_id": "number"}}, {"customer_id", "a", "b"}),
    ("a key that counts", {"columns": {"a": "drop"}}, {"b"}),
    ("days first", {"options": {"dates": "drop"}}, {"b"}),
    ("days first", {"options": {"dates": "drop"}, "columns": {"a": "date"}}, {"a", "b"}),
    ("days first", {"options": {"drop": "a"}}, {"b"}),
    ("semicolons", {"options": {"separator": "semicolon"}}, {"a", "b"}),
]


@pytest.mark.parametrize(("case", "asked", "expected"), OVERRIDES)
def test_each_decision_can_be_made_otherwise(case: str, asked: dict[str, Any], expected: set[str]) -> None:
    read = table_files.read(Path(table(CASES[case][0])), **asked)
    assert set(read.inputs(["y"])[0]) == expected
    for name, kind in asked.get("columns", {}).items():
        assert kind == "drop" or read.specs[name].kind == kind


def test_a_target_is_read_as_asked() -> None:
    table(CASES["a class called None"][0])
    asked = {"missing": "None", "missing_target": "drop"}
    assert load("homes.csv", target="y", options=asked).classes == ("Mild", "Severe")
    table("x,y\n" + "".join(f"{i * i % 7},{i % 3 + 0.5}\n" for i in range(30)))
    assert load("homes.csv", target="y").task == "regression"
    assert load("homes.csv", target="y", columns={"y": "category"}).classes == ("0.5", "1.5", "2.5")
    # A key may be the target, although it is no input.
    table("x,id\n" + "".join(f"{i * i % 7},{i + 1000}\n" for i in range(60)))
    assert load("homes.csv", target="id").task == "regression"
