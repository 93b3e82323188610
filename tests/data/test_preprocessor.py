"""The preprocessing of tables against scikit-learn's and pandas', through JSON, and refitted for the folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.feature_extraction import FeatureHasher
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder

from search.data.column_spec import ColumnSpec
from search.data.columns import Preprocessor
from search.errors import RequestError

numbers = st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32))
words = st.one_of(st.none(), st.sampled_from(["Bern", "Ulm", "ulm", "Zürich", "3"]))


def category(name: str = "town") -> ColumnSpec:
    return ColumnSpec(name=name, kind="category")


def number(name: str = "rooms") -> ColumnSpec:
    return ColumnSpec(name=name, kind="number")


def text(*values: str | None) -> Any:
    return np.array(values, dtype=object)


def seconds(*dates: str | None) -> Any:
    """The dates in seconds since 1970, by pandas."""
    stamps = pd.to_datetime(pd.Series(dates))
    return ((stamps - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy()


@settings(deadline=None)
@given(
    rooms=arrays.arrays(np.float64, 24, elements=numbers),
    town=arrays.arrays(object, 24, elements=words),
    train=st.permutations(range(24)).map(lambda order: np.array(order[:10])),
)
def test_numbers_and_text_are_those_of_scikit_learn_to_the_bit(rooms: Any, town: Any, train: Any) -> None:
    # Columns without information are left out; these two rows give each column some.
    rooms[train[:2]], town[train[:2]], town[train[2]] = [1.5, 2.5], ["Ulm", "Bern"], "Ulm"
    columns = {"town": town, "rooms": rooms}
    fitted = Preprocessor.fit([category(), number()], columns, train, "homes.csv")
    imputer = SimpleImputer(strategy="median", add_indicator=True).fit(rooms[train, None])
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(town[train, None])
    expected = np.hstack([imputer.transform(rooms[:, None]), encoder.transform(town[:, None])]).astype(np.float32)
    found = fitted.transform(columns)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    values = [feature.equals for feature in fitted.features if feature.column == "town"]
    assert values == list(encoder.categories_[0])
    again = Preprocessor.model_validate_json(fitted.model_dump_json())
    assert again == fitted
    np.testing.assert_array_equal(again.transform(columns), expected)


def test_large_numbers_are_standardised_in_float64() -> None:
    time = 1_700_000_000.0 + 60 * np.arange(60)
    fitted = Preprocessor.fit([number("ts")], {"ts": time}, np.arange(40), "visits.csv")
    raw = fitted.transform({"ts": time})
    standard = (raw - raw[:40].mean()) / raw[:40].std()
    np.testing.assert_allclose(standard[:, 0], (time - time[:40].mean()) / time[:40].std(), rtol=1e-5, atol=1e-6)
    assert fitted.notes == (
        "visits.csv: column 'ts' varies little around large numbers: 1700001170 is subtracted from them",
    )
    # The same numbers among others that vary as much need no shift, and keep their bits.
    wide = np.concatenate([time, -time])
    plain = Preprocessor.fit([number("ts")], {"ts": wide}, np.arange(40), "visits.csv")
    np.testing.assert_array_equal(plain.transform({"ts": wide})[:, 0], wide.astype(np.float32))


def test_a_date_becomes_the_parts_that_vary() -> None:
    dates = ("2023-12-31 23:30", "2024-02-29 06:00", None, "2024-03-01 06:00", "2025-03-02 18:45")
    column = seconds(*dates)
    spec = ColumnSpec(name="sold", kind="date")
    fitted = Preprocessor.fit([spec], {"sold": column}, np.arange(4), "homes.csv")
    stamps = pd.to_datetime(pd.Series(dates))
    expected = pd.DataFrame(
        {
            "sold: year": stamps.dt.year,
            "sold: month": stamps.dt.month,
            "sold: day": stamps.dt.day,
            "sold: weekday": stamps.dt.day_of_week,
            "sold: hour": stamps.dt.hour,
            "sold: elapsed days": (stamps - stamps[0]) / pd.Timedelta(days=1),
        }
    )
    expected = expected.fillna(expected[:4].median()).assign(missing=stamps.isna())
    assert [str(feature) for feature in fitted.features] == [*expected.columns[:-1], "sold missing"]
    np.testing.assert_array_equal(fitted.transform({"sold": column}), expected.to_numpy(np.float32))
    assert Preprocessor.model_validate_json(fitted.model_dump_json()) == fitted
    days = Preprocessor.fit([spec], {"sold": seconds("2024-03-04", "2024-03-11")}, np.arange(2), "homes.csv")
    assert [feature.part for feature in days.features] == ["day", "elapsed days"]
    np.testing.assert_array_equal(days.transform({"sold": seconds("1969-12-31", "2024-03-11")})[:, 0], [31, 11])


def test_times_of_the_day_are_neighbours_across_midnight() -> None:
    column = np.array([0, 6, 12, 18, 23 + 59 / 60, np.nan]) * 3600
    fitted = Preprocessor.fit([ColumnSpec(name="at", kind="time")], {"at": column}, np.arange(6), "visits.csv")
    expected = [[0, 1, 0], [1, 0, 0], [0, -1, 0], [-1, 0, 0], [0, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(fitted.transform({"at": column}), expected, atol=5e-3)


def test_a_text_of_many_values_is_hashed() -> None:
    town = text(*(f"town {i % 1100}" for i in range(1500)), None, "elsewhere")
    fitted = Preprocessor.fit([category()], {"town": town}, np.arange(1501), "homes.csv")
    hasher = FeatureHasher(64, input_type="string")
    expected = hasher.transform([[value] if value else [] for value in town]).toarray()
    found = fitted.transform({"town": town})
    np.testing.assert_array_equal(found[:, :64], expected)
    np.testing.assert_array_equal(found[:, 64], [value is None for value in town])
    assert len(fitted.notes) == 1
    assert "'town' has more than 1,000 different texts: a hash of the text chooses one of 64 inputs" in fitted.notes[0]


def test_a_fold_has_the_same_features_with_its_own_statistics() -> None:
    columns = {
        "rooms": np.array([1, 2, np.nan, 8, 9, 10.0]),
        "sold": seconds("2024-01-01", "2024-01-02", None, "2025-05-05", "2025-05-06", "2025-05-09"),
        "town": text("Ulm", "Bern", None, "Ulm", "Bonn", "Bonn"),
    }
    specs = [number(), ColumnSpec(name="sold", kind="date"), category()]
    union = Preprocessor.fit(specs, columns, np.arange(6), "homes.csv")
    later = union.refit(columns, np.array([3, 4, 5]))
    assert [str(one) for one in later.features] == [str(one) for one in union.features]
    found = dict(zip(map(str, later.features), later.transform(columns).T, strict=True))
    np.testing.assert_array_equal(found["rooms"], [1, 2, 9, 8, 9, 10])
    np.testing.assert_array_equal(found["sold: elapsed days"], [-490, -489, 1, 0, 1, 4])
    for name in ("rooms missing", "town missing", "sold missing", "town = Bern"):
        assert not found[name].any()
    np.testing.assert_array_equal(found["town = Ulm"], [1, 0, 0, 1, 0, 0])
    # With all rows again it is what it was.
    assert later.refit(columns, np.arange(6)) == union
    assert later.unfamiliar(columns).unseen == {"town": 1}
    # What is the same in all rows of a fold is the same everywhere; a number that all of them miss is 0.
    empty = union.refit(columns, np.array([2]))
    same = dict(zip(map(str, empty.features), empty.transform(columns).T, strict=True))
    assert all((column == column[0]).all() for column in same.values())
    assert {name for name, column in same.items() if column[0]} == {"rooms missing", "sold missing", "town missing"}
    again = Preprocessor.model_validate_json(empty.model_dump_json())
    assert again == empty
    np.testing.assert_array_equal(again.transform(columns), empty.transform(columns))


def test_a_refitted_preprocessor_agrees_with_one_fitted_on_the_fold_where_both_have_the_feature() -> None:
    rng = np.random.default_rng(0)
    rooms = np.where(rng.random(200) < 0.1, np.nan, rng.normal(size=200))
    columns = {"rooms": rooms, "town": rng.choice(np.array(["a", "b", "c", None], dtype=object), 200)}
    fold = rng.permutation(200)[:50]
    refitted = Preprocessor.fit([number(), category()], columns, np.arange(200), "x").refit(columns, fold)
    fitted = Preprocessor.fit([number(), category()], columns, fold, "x")
    assert refitted.features == fitted.features
    np.testing.assert_array_equal(refitted.transform(columns), fitted.transform(columns))


def test_what_new_rows_have_that_training_rows_lack_is_counted() -> None:
    columns = {"rooms": np.array([1, 2, 3.0]), "town": text("Ulm", None, "Ulm")}
    fitted = Preprocessor.fit([number(), category()], columns, np.arange(3), "homes.csv")
    new = {"rooms": np.array([np.nan, np.nan, 3, 4]), "town": text("Rom", "Ulm", None, "Bonn")}
    counted = fitted.unfamiliar(new)
    assert counted.unseen == {"town": 2}
    assert counted.missing == {"rooms": 2, "town": 1}
    assert counted.never_missing == ("rooms",)
    assert [line.rpartition(": ")[2] for line in counted.notes] == [
        "town (2 rows)",
        "rooms (2 rows), town (1 row)",
        "rooms",
    ]
    assert fitted.unfamiliar(columns).unseen == {}
    np.testing.assert_array_equal(fitted.transform(new), [[2, 0, 0], [2, 1, 0], [3, 0, 1], [4, 0, 0]])


def test_a_number_beyond_float32_is_refused_with_its_row() -> None:
    fitted = Preprocessor.fit([number()], {"rooms": np.array([1, 2.0])}, np.arange(2), "homes.csv")
    with pytest.raises(RequestError, match="column 'rooms' is infinite or too large for float32 in row 2"):
        fitted.transform({"rooms": np.array([1, 1e39])})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"column": {"name": "a", "kind": "category"}}, "encoder date is not for a column of kind category"),
        ({"medians": [1.0]}, "medians should be one for each of 2 parts, got 1"),
        ({"parts": ["day", "century"]}, "century"),
        ({"encoder": "pickle"}, "pickle"),
    ],
)
def test_a_description_that_no_fit_has_written_is_refused(wrong: dict[str, Any], says: str) -> None:
    spec = ColumnSpec(name="sold", kind="date")
    fitted = Preprocessor.fit([spec], {"sold": seconds("2024-03-04", "2024-03-11")}, np.arange(2), "homes.csv")
    fields = fitted.model_dump()
    assert Preprocessor.parse(fields, "x") == fitted
    fields["encoders"] = [fields["encoders"][0] | wrong]
    with pytest.raises(RequestError, match=says):
        Preprocessor.parse(fields, "its preprocessing")
    with pytest.raises(RequestError, match="constants should be numbers of inputs, from 0 to 1"):
        Preprocessor.parse(fitted.model_dump() | {"constants": {2: 0.0}}, "x")
