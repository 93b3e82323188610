"""Tests of how a column's cells are recognised and read: each rule, its notes, and new cells by the same spec."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.column_kinds import ColumnSpec, Kind, Rules, infer, parse
from search.data.targets import BadRow
from search.errors import RequestError

NAN = float("nan")


def cells(*values: Any) -> np.ndarray[Any, Any]:
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def day(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


def same(found: np.ndarray[Any, Any], expected: Sequence[Any]) -> None:
    if found.dtype == object:
        assert found.tolist() == list(expected)
    else:
        np.testing.assert_array_equal(found, np.array(expected, dtype=float))


KEYS = [str(1234567890123456789 + 3 * i) for i in range(12)]
READ: list[tuple[Sequence[Any], Kind, Sequence[Any]]] = [
    (["1.5", "", "-2", "+3", "1e3", ".5"], "number", [1.5, NAN, -2, 3, 1000, 0.5]),
    (["inf", "-inf", "nan"], "number", [np.inf, -np.inf, NAN]),
    (["9" * 30, "0"], "number", [1e30, 0]),
    (["1", "?", "NA", "n/a", "null", "-", "Unknown", "#N/A", "None"], "number", [1, *[NAN] * 8]),
    # Decimal commas and separators between thousands, where the whole column is written so.
    (["1,5", "-2,25"], "number", [1.5, -2.25]),
    (["1,288", "0,066"], "number", [1.288, 0.066]),
    (["1,500", "2,250,000"], "number", [1500, 2_250_000]),
    (["1,500.5", "-2,250"], "number", [1500.5, -2250]),
    (["1.500,5", "7"], "number", [1500.5, 7]),
    (["1 500,5", "2\u00a0000", "3\u202f000"], "number", [1500.5, 2000, 3000]),
    (["1'500.5", "2\u2019000"], "number", [1500.5, 2000]),
    (["12,34,567", "1,000"], "number", [1_234_567, 1000]),
    (["$2,622", "$81,435.50", "-$3", "($4)"], "number", [2622, 81435.5, -3, -4]),
    (["2,50 €", "1.000 €", "3"], "number", [2.5, 1000, 3]),
    (["USD 5", "6 USD"], "number", [5, 6]),
    (["12%", "0.5 %", "0"], "number", [12, 0.5, 0]),
    (["\u22125", "5"], "number", [-5, 5]),
    # Not numbers.
    (["5%", "0.05"], "category", ["5%", "0.05"]),
    (["$5", "€5"], "category", ["$5", "€5"]),
    (["1_000", "2"], "category", ["1_000", "2"]),
    (["10.0.0.1", "1.2.3"], "category", ["10.0.0.1", "1.2.3"]),
    (["01234", "99999"], "category", ["01234", "99999"]),
    (KEYS, "category", KEYS),
    (["a", "NA", "", None, NAN, "None", "?"], "category", ["a", None, None, None, None, "None", "?"]),
    (["None", "Mild", "Severe"], "category", ["None", "Mild", "Severe"]),
    ([" a", "a ", "a"], "category", ["a", "a", "a"]),
    # True and false.
    (["true", "FALSE", "True"], "category", ["True", "False", "True"]),
    ([True, False, None, np.True_], "category", ["True", "False", None, "True"]),
    (["yes", "Yes", "yes", "NO"], "category", ["yes", "yes", "yes", "NO"]),
    (["Y", "1", "no", "false"], "category", ["True", "True", "False", "False"]),
    (["yes", "1", "No", "0"], "category", ["True", "True", "False", "False"]),
    (["F", "M"], "category", ["F", "M"]),
    (["0", "1"], "number", [0, 1]),
    # Dates.
    (["2024-01-31", "unknown", "2024-2-1"], "date", [day("2024-01-31"), NAN, day("2024-02-01")]),
    (["2024-01-31", "0000-00-00", "00/00/0000"], "date", [day("2024-01-31"), NAN, NAN]),
    (["2024-01-31 10:15", "2024-01-31T10:15:30.5"], "date", [day("2024-01-31T10:15"), day("2024-01-31T10:15:30.500")]),
    (["2024-01-31T00:00:00+02:00", "2024-01-31T00:00:00Z"], "date", [day("2024-01-30T22:00"), day("2024-01-31")]),
    (["2024/01/31", "2024/12/01"], "date", [day("2024-01-31"), day("2024-12-01")]),
    (["01-02-2024", "13-02-2024"], "date", [day("2024-02-01"), day("2024-02-13")]),
    (["01/02/2024", "01/13/2024"], "date", [day("2024-01-02"), day("2024-01-13")]),
    (["01.02.24", "02.02.24"], "date", [day("2024-02-01"), day("2024-02-02")]),
    (["01/02/2024 9:05 PM", "01/31/2024 12:00 AM"], "date", [day("2024-01-02T21:05"), day("2024-01-31")]),
    (["Jan 1, 2024", "Dec 31, 2023"], "date", [day("2024-01-01"), day("2023-12-31")]),
    (["1 January 2024", "31 December 2023"], "date", [day("2024-01-01"), day("2023-12-31")]),
    (["01-Jan-2024", "31-Dec-2023"], "date", [day("2024-01-01"), day("2023-12-31")]),
    (["Mon, 01 Jan 2024 10:00:00 +0000"] * 2, "date", [day("2024-01-01T10:00")] * 2),
    (["2024-01", "2023-12"], "date", [day("2024-01-01"), day("2023-12-01")]),
    (["Jan 1, 2024", "2024-01-02", "03.01.2024"], "date", [day("2024-01-01"), day("2024-01-02"), day("2024-03-01")]),
    (["9999-12-31", "1200-01-01"], "date", [day("9999-12-31"), day("1200-01-01")]),
    ([datetime.date(2024, 1, 31), None], "date", [day("2024-01-31"), NAN]),
    ([datetime.datetime(2024, 1, 31, 1), "unknown"], "date", [day("2024-01-31T01:00"), NAN]),
    (["555-123-4567", "555-123-4568"], "category", ["555-123-4567", "555-123-4568"]),
    (["10-20", "20-30"], "category", ["10-20", "20-30"]),
    (["31-02-2024", "01-01-2024"], "category", ["31-02-2024", "01-01-2024"]),
    # Times of the day.
    (["00:00", "9:30", "-", "23:59:59"], "time", [0, 34200, NAN, 86399]),
    (["9:30 PM", "12:00 am"], "time", [77400, 0]),
    ([datetime.time(1, 2, 3), None], "time", [3723, NAN]),
    (["25:00", "9:30"], "category", ["25:00", "9:30"]),
    # Cells that a spreadsheet has typed.
    ([1.5, "?", 2], "number", [1.5, NAN, 2]),
    (["a", 1, 2.0, 2.5], "category", ["a", "1", "2", "2.5"]),
    ([datetime.timedelta(minutes=1)], "number", [60]),
    ([None, ""], "number", [NAN, NAN]),
]


@pytest.mark.parametrize(("column", "kind", "values"), READ, ids=range(len(READ)))
def test_a_column_is_recognised_by_all_of_its_cells(column: Sequence[Any], kind: Kind, values: Sequence[Any]) -> None:
    spec, found, _ = infer("a", cells(*column))
    assert spec.kind == kind
    same(found, values)
    # A spec outlives the process as JSON, and reads the same cells to the same values, in any order.
    again = ColumnSpec.model_validate_json(spec.model_dump_json())
    same(parse(again, cells(*column[::-1])), values[::-1])


@pytest.mark.parametrize(
    ("rules", "column", "values"),
    [
        (Rules(likely_decimal=","), ["1,500", "2,250"], [1.5, 2.25]),
        (Rules(decimal=","), ["1.500", "2.250"], [1500, 2250]),
        (Rules(decimal="."), ["1,500", "2,250"], [1500, 2250]),
        (Rules(day_first=False), ["01.02.2024"], [day("2024-01-02")]),
        (Rules(day_first=True), ["01/02/2024"], [day("2024-02-01")]),
        (Rules(missing=frozenset(["-999"])), ["-999", "1", "-999.0"], [NAN, 1, NAN]),
        (Rules(missing=frozenset(["-999"])), [-999.0, 1], [NAN, 1]),
        (Rules(missing=frozenset(["None"])), ["None", "a"], [None, "a"]),
        (Rules(kept=frozenset(["NA"])), ["NA", "DE"], ["NA", "DE"]),
        (Rules(numbers_in_text=False), ["1.5", "2"], ["1.5", "2"]),
    ],
)
def test_what_a_person_says_decides(rules: Rules, column: Sequence[str], values: Sequence[Any]) -> None:
    spec, found, _ = infer("a", cells(*column), rules=rules)
    same(found, values)
    same(parse(spec, cells(*column)), values)


@pytest.mark.parametrize(
    ("kind", "column", "values"),
    [
        ("category", ["1", "2", None], ["1", "2", None]),
        ("category", [1, 2.0, None], ["1", "2", None]),
        ("category", ["2024-01-01"], ["2024-01-01"]),
        ("number", ["01234", "?"], [1234, NAN]),
        ("number", ["-"], [NAN]),
        ("date", ["1999", "2024"], [day("1999-01-01"), day("2024-01-01")]),
        ("date", [1999, 2024], [day("1999-01-01"), day("2024-01-01")]),
        ("date", ["20240131"], [day("2024-01-31")]),
        ("date", [1_700_000_000, None], [1_700_000_000, NAN]),
    ],
)
def test_a_kind_that_is_asked_for_is_taken(kind: Kind, column: Sequence[Any], values: Sequence[Any]) -> None:
    spec, found, _ = infer("a", cells(*column), kind=kind)
    assert spec.kind == kind
    same(found, values)
    same(parse(spec, cells(*column)), values)


@pytest.mark.parametrize(
    ("name", "first", "step", "unit"),
    [
        ("ts", 1_700_000_000, 60, "s"),
        ("createdAt", 1_700_000_000_000, 1000, "ms"),
        ("time_ns", 1_700_000_000_000_000_000, 10**9, "ns"),
        ("x", 1_700_000_000, 60, ""),
        ("when", 1_700_000_000.5, 0.25, "s"),
        ("x", 10_000, 60, ""),
        ("id", 1_700_000_000, 60, ""),
        ("phone", 2_125_550_000, 977, ""),
    ],
)
def test_numbers_that_count_from_1970_are_dates(name: str, first: int, step: int, unit: str) -> None:
    numbers = [first + step * i for i in range(20)]
    for column in (cells(*map(str, numbers)), np.array(numbers), cells(*numbers)):
        spec, found, _ = infer(name, column)
        assert spec.unit == unit
        scale = {"s": 1, "ms": 1e3, "ns": 1e9}.get(unit, 1)
        np.testing.assert_allclose(found, np.array(numbers) / scale, rtol=1e-15)


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (
            [*map(str, range(60)), "Total"],
            "'a' holds numbers, and 'Total' in row 61, the last row: delete it if it is a total: --data missing=Total",
        ),
        (
            ["x y", *map(str, range(60))],
            "holds numbers, and 'x y' in row 1: --data missing='x y' .* --column a=category",
        ),
        ([*(f"2024-01-{i:02}" for i in range(1, 29)), "soon"], "column 'a' holds dates, and 'soon' in row 29"),
        ([*(f"{i}:00" for i in range(20)), "noon"], "column 'a' holds times, and 'noon' in row 21"),
        ([*(f"${i}" for i in range(20)), "€5"], "column 'a' holds numbers, and '€5' in row 21"),
        ([f"{'$' if i % 2 else '€'}{i}" for i in range(21)], "column 'a' holds numbers, and '\\$1' in row 2"),
        ([*(f"{i},5" for i in range(20)), "0.5"], "column 'a' holds numbers, and '0.5' in row 21"),
    ],
)
def test_a_cell_of_another_kind_is_named(column: Sequence[str], says: str) -> None:
    with pytest.raises(BadRow, match=says):
        infer("a", cells(*column))
    assert infer("a", cells(*column), kind="category")[0].kind == "category"


@pytest.mark.parametrize(
    ("spec", "column", "row", "says"),
    [
        (ColumnSpec(name="a", kind="number"), ["1", "one"], 1, "column 'a' holds numbers, and 'one' in row 2"),
        (ColumnSpec(name="a", kind="number"), ["1,5"], 0, "holds numbers, and '1,5'"),
        (ColumnSpec(name="a", kind="number"), [datetime.date(2024, 1, 1)], 0, "holds numbers, and 2024-01-01"),
        (
            ColumnSpec(name="a", kind="date", date_format="%d-%m-%Y"),
            ["", "2024-01-31"],
            1,
            "holds dates, and '2024-01-31'",
        ),
        (ColumnSpec(name="a", kind="date", date_format="mixed"), ["12"], 0, "holds dates, and '12'"),
        (ColumnSpec(name="a", kind="time"), ["9:30", None, "24:00"], 2, "holds times, and '24:00'"),
    ],
)
def test_a_new_cell_of_another_kind_is_refused(spec: ColumnSpec, column: Sequence[Any], row: int, says: str) -> None:
    with pytest.raises(BadRow, match=says) as raised:
        parse(spec, cells(*column))
    assert raised.value.row == row


def test_new_cells_may_come_typed() -> None:
    date = infer("d", cells("01-02-2024", "13-02-2024"))[0]
    same(parse(date, cells(pd.Timestamp("2024-02-01"), pd.NaT, None, pd.NA)), [day("2024-02-01"), NAN, NAN, NAN])
    same(parse(date, pd.date_range("2024-02-01", periods=2).to_numpy()), [day("2024-02-01"), day("2024-02-02")])
    number = infer("n", cells("1,5", "2,5"))[0]
    same(parse(number, np.array([1.5, np.nan])), [1.5, NAN])
    same(parse(number, cells(1.5, "2,5", np.float32("nan"))), [1.5, 2.5, NAN])
    word = infer("w", cells("1", "2"), kind="category")[0]
    same(parse(word, np.array([1.0, np.nan, 2.0])), ["1", None, "2"])
    truth = infer("t", cells("true", "FALSE"))[0]
    same(parse(truth, np.array([True, False])), ["True", "False"])


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["1", "?", "2"], "'?' in row 2"),
        (["1", "-", "-"], "'-' in 2 cells, the first in row 2"),
        (["$2,622", "$1"], "thousands separators and a currency.*'$2,622' is 2622"),
        (["1,500", "2,500"], "--data decimal=comma reads them otherwise"),
        (["01/02/2024"], "read with the month first; --data dates=day-first"),
        (["13/02/2024"], "'13/02/2024' is 2024-02-13"),
        (["007", "1"], "kept as text, because a cell begins with 0; --column NAME=number"),
        (["yes", "Yes"], "spellings of the same two values ('yes', 'Yes')"),
        (["NA", "DE"], "'NA' in row 1"),
        ([str(1_700_000_000 + i) for i in range(10)], "may count the time from 1970; --column NAME=date reads them so"),
    ],
)
def test_what_was_decided_is_said(column: Sequence[str], says: str) -> None:
    notes = infer("a", cells(*column))[2]
    assert all(note.startswith("column 'a': ") for note in notes)
    parts = says.split(".*")
    assert any(all(part in note for part in parts) for note in notes), notes


def test_objects_that_are_no_cells_are_refused() -> None:
    with pytest.raises(RequestError, match="column 'a' holds bytes objects"):
        infer("a", cells(b"x"))


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
    st.sampled_from([("", ","), (",", "."), (" ", ",")]),
)
def test_numbers_written_with_separators_are_themselves(numbers: list[float], signs: tuple[str, str]) -> None:
    """What Python writes with a decimal sign and separators is read back, if one cell shows which is which."""
    thousands, decimal = signs
    texts = [f"{number:,.3f}".replace(",", "_").replace(".", decimal).replace("_", thousands) for number in numbers]
    sure = f"1{decimal}2345"
    found = infer("a", cells(*texts, sure))[1]
    same(found, [*(float(f"{number:.3f}") for number in numbers), 1.2345])


@given(st.lists(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2068, 1, 1)), min_size=1, max_size=5))
def test_dates_in_every_format_are_what_python_says(moments: list[datetime.datetime]) -> None:
    for form in (
        "%Y-%m-%d",
        "%b %d, %Y",
        "%B %d, %Y",
        "%d-%b-%Y",
        "%Y-%m-%d %H:%M:%S",
        "%d.%m.%Y %H:%M",
        "%m/%d/%Y %I:%M %p",
    ):
        anchored = [*moments, datetime.datetime(2001, 1, 31)]
        texts = [moment.strftime(form) for moment in anchored]
        expected = [datetime.datetime.strptime(text, form).replace(tzinfo=datetime.UTC).timestamp() for text in texts]
        same(infer("when", cells(*texts))[1], expected)
