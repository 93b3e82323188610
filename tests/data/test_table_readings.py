"""A file is read as a whole, and another one like it: what a comma means, rows without a target, keys and dates."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.data import table
from support.tables import ROWS, columns, days, lines

from search.data import load, table_files
from search.errors import RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def test_rows_without_a_target_are_counted_and_left_out_if_asked() -> None:
    table(lines(lambda i, a, b, y: (a, b, "" if i % 10 == 0 else y)))
    says = r"target 'y' is missing in line 2 \(6 rows in all\): --data missing_target=drop leaves such rows out$"
    with pytest.raises(RequestError, match=says):
        load("homes.csv", target="y")
    data = load("homes.csv", target="y", options={"missing_target": "drop"})
    assert len(data.x_train) + len(data.x_val) + len(data.x_test) == 54
    assert "homes.csv: left out, 6 rows without a target" in data.notes
    # Later errors still name the line of the file.
    table(lines(lambda i, a, b, y: ("inf" if i == 20 else a, b, "" if i % 10 == 0 and i < 20 else y)))
    with pytest.raises(RequestError, match="column 'a' is infinite in line 22"):
        load("homes.csv", target="y", options={"missing_target": "drop"})


def test_a_comma_alone_means_what_the_rest_of_the_file_says() -> None:
    rows = range(1, 40)
    table("a,y\n" + "".join(f'"1,5{i:02}",{i}\n' for i in rows))
    assert table_files.read(Path("homes.csv")).columns["a"][0] == 1501
    table("a;y\n" + "".join(f"1,5{i:02};{i}\n" for i in rows))
    assert table_files.read(Path("homes.csv")).columns["a"][0] == 1.501
    # Another column is certainly written with decimal commas, so a point stands between thousands.
    table("a;b;y\n" + "".join(f"1.5{i:02};0,{i};{i}\n" for i in rows))
    assert table_files.read(Path("homes.csv")).columns["a"][0] == 1501
    table("a;b;y\n" + "".join(f"1.5{i:02};0.{i};{i}\n" for i in rows))
    assert table_files.read(Path("homes.csv")).columns["a"][0] == 1.501


def test_the_rows_of_another_file_are_read_as_those_of_the_first() -> None:
    """Alone, the test file would have months first, points between thousands, and another index."""
    header = ",when,price,a,y"
    table(lines(lambda i, a, _b, y: (i, f"{days(i)}/02/2024", f'"1,5{i:02}"', a, y), header).replace("30/02", "29/02"))
    whole = load("homes.csv", target="y", options={"decimal": "comma"}, scale="none")
    table(lines(lambda i, a, _b, y: (i + 7, f"0{i % 9 + 1}/02/2024", '"1,500"', a, y), header), "new.csv")
    data = load("homes.csv", target="y", options={"decimal": "comma"}, test="new.csv", scale="none")
    price = next(number for number, feature in enumerate(data.columns) if feature.column == "price")
    assert len(data.x_test) == len(ROWS)
    assert set(data.x_test[:, price].tolist()) == {1.5}
    assert [str(feature) for feature in data.columns] == [str(feature) for feature in whole.columns]
    table(lines(lambda i, a, _b, y: (i, "soon" if i == 3 else "01/02/2024", 1.5, a, y), header), "new.csv")
    with pytest.raises(
        RequestError, match=r"new.csv: column 'when' holds dates, and 'soon' in line 5: --data missing="
    ):
        load("homes.csv", target="y", options={"decimal": "comma"}, test="new.csv")
    table(lines(lambda i, a, _b, y: (i, "01/02/2024", '"1,5"', a, "" if i == 3 else y), header), "new.csv")
    with pytest.raises(RequestError, match=r"new.csv: target 'y' is missing in line 5 .1 row in all.: --data"):
        load("homes.csv", target="y", options={"decimal": "comma"}, test="new.csv")
    asked = {"decimal": "comma", "missing_target": "drop"}
    left = load("homes.csv", target="y", options=asked, test="new.csv")
    assert len(left.x_test) == len(ROWS) - 1
    assert "new.csv: left out, 1 row without a target" in left.notes


def test_a_key_may_group_the_rows_and_a_date_may_order_them() -> None:
    table(lines(lambda i, a, b, y: (f"k{i // 2}", f"{days(i)}/01/2024", a, b, y), "who,when,a,b,y"))
    grouped = load("homes.csv", target="y", group="who")
    assert columns(grouped) == {"when", "a", "b"}
    ordered = load("homes.csv", target="y", time="when", options={"drop": ["when", "who"]}, scale="none")
    assert columns(ordered) == {"a", "b"}
