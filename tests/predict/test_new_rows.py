"""New rows become the inputs of training, whatever the file of the training rows looked like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from search.data import Data, Preprocessor, load
from search.errors import RequestError
from search.predict.new_rows import Wanted, read

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def visits() -> pd.DataFrame:
    """Return 80 visits with numbers, text, dates and times, some of them missing."""
    rng = np.random.default_rng(0)
    minutes = rng.integers(0, 24 * 60, 80)
    return pd.DataFrame(
        {
            "fare": np.where(rng.random(80) < 0.1, np.nan, rng.integers(10_000, 999_999, 80) / 100),
            "day": pd.Timestamp("2023-11-20") + pd.to_timedelta(rng.integers(0, 400, 80), unit="D"),
            "at": [f"{m // 60:02}:{m % 60:02}" for m in minutes],
            "town": rng.choice(["Köln", "Ulm", None], 80),
            "y": rng.choice(["yes", "no"], 80),
        }
    )


def as_people_write(table: pd.DataFrame) -> pd.DataFrame:
    """Return the same with decimal commas, points between thousands, a word for missing, and the day first."""
    fares = [f"{fare:,.2f}".translate(str.maketrans(",.", ".,")) for fare in table["fare"]]
    fare = pd.Series(fares).where(table["fare"].notna(), "unknown")
    return table.assign(fare=fare, day=table["day"].dt.strftime("%d.%m.%Y"))


def in_order(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows[np.lexsort(rows.T)]


def inputs(data: Data) -> NDArray[np.float32]:
    """The raw inputs of all rows, in an order of their own."""
    return in_order(np.vstack([part.numpy() for part in (data.x_train, data.x_val, data.x_test)]))


def raw(rows: Any, data: Data) -> NDArray[np.float32]:
    assert data.preprocessor is not None
    # As a model file holds it.
    again = Preprocessor.model_validate_json(data.preprocessor.model_dump_json())
    wanted = Wanted("the model", data.features, True, again, data.outputs, data.classes, data.target_names)
    return in_order(read(rows, wanted).raw.numpy())


def test_files_and_frames_become_the_inputs_of_training() -> None:
    table = visits()
    as_people_write(table).to_csv("visits.csv", sep=";", index=False, encoding="cp1252")
    data = load("visits.csv", target="y", scale="none")
    assert {feature.part for feature in data.columns} >= {"year", "month", "weekday", "elapsed days", "sine", "cosine"}
    np.testing.assert_array_equal(raw("visits.csv", data), inputs(data))
    # The columns of a frame have types, and an index.
    np.testing.assert_array_equal(raw(table.set_index("y"), data), inputs(data))
    np.testing.assert_array_equal(raw(table.to_dict("list"), data), inputs(data))
    table.drop(columns="y").to_parquet("visits.parquet")
    np.testing.assert_array_equal(raw("visits.parquet", data), inputs(data))
    as_people_write(table)[:1].to_csv("one.csv", sep=";", index=False)
    assert raw("one.csv", data).shape == (1, data.features)


def test_a_file_without_names_is_read_as_the_training_file_was() -> None:
    visits().to_csv("visits.csv", index=False, header=False)
    data = load("visits.csv", target="5", options={"header": "no"}, scale="none")
    np.testing.assert_array_equal(raw("visits.csv", data), inputs(data))
    with pytest.raises(RequestError, match="has no column '1'"):
        raw(visits(), data)


def test_a_row_is_named_by_its_line() -> None:
    table = as_people_write(visits())
    table.to_csv("visits.csv", sep=";", index=False)
    data = load("visits.csv", target="y", scale="none")
    for column, word, says in (
        ("day", "31.02.2024", "column 'day' holds dates, and '31.02.2024' in line 5"),
        ("at", "25:00", "column 'at' holds times, and '25:00' in line 5"),
        ("fare", "cheap", "column 'fare' holds numbers, and 'cheap' in line 5"),
    ):
        table.assign(**{column: table[column].where(table.index != 3, word)}).to_csv("new.csv", sep=";", index=False)
        with pytest.raises(RequestError, match=f"^new.csv: {says}$"):
            raw(Path("new.csv"), data)
