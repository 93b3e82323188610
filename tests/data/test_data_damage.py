"""Damaged, random or hostile files raise one of the two errors, in one line, and nothing in them is executed."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.data import load
from search.errors import EnvironmentFault, RequestError

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


class Trap:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


def test_nothing_in_a_file_is_executed() -> None:
    payload = np.empty(1, dtype=object)
    payload[0] = Trap()
    np.savez("own.npz", x=np.zeros((1, 1)), y=payload)
    with pytest.raises(RequestError, match="holds Python objects"):
        load("own.npz")
    Path("own.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EnvironmentFault, match=r"own\.npz is not an \.npz file"):
        load("own.npz")
    with zipfile.ZipFile("own.npz", "w") as file:
        file.writestr("x.npy", pickle.dumps(Trap()))
        file.writestr("y", pickle.dumps(Trap()))
    with pytest.raises((RequestError, EnvironmentFault)):
        load("own.npz")
    Path("own.parquet").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(EnvironmentFault, match="not a complete parquet file"):
        load("own.parquet", target="y")
    assert not Path("unpickled").exists()


def _csv(path: Path) -> None:
    pd.DataFrame({"x": np.arange(20.0), "kind": ["a", "b"] * 10, "y": np.arange(20) * 0.5}).to_csv(path, index=False)


def _parquet(path: Path) -> None:
    pd.DataFrame({"x": np.arange(20.0), "kind": ["a", "b"] * 10, "y": np.arange(20) * 0.5}).to_parquet(path)


def _npz(path: Path) -> None:
    np.savez(path, x=np.arange(60.0).reshape(20, 3), y=np.arange(20) * 0.5)


def attempt(path: str) -> None:
    """Load a file, which must work or raise one of the two errors."""
    said = ""
    try:
        load(path, target="y" if not path.endswith(".npz") else None)
    except (RequestError, EnvironmentFault) as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 600


@pytest.mark.parametrize("write", [_csv, _parquet, _npz])
def test_a_file_cut_short_is_damaged(write: Callable[[Path], None]) -> None:
    path = Path(f"own.{write.__name__[1:]}")
    write(path)
    whole = path.read_bytes()
    # A table that was cut off is recognised only by a short line, such as 10.0,a
    shares = (0.0, 0.1, 0.5, 0.9) if path.suffix != ".csv" else (0.0, (whole.index(b"10.0,a") + 6) / len(whole))
    for share in shares:
        path.write_bytes(whole[: round(len(whole) * share)])
        with pytest.raises((EnvironmentFault, RequestError)):
            load(path.name, target=None if path.suffix == ".npz" else "y")
    path.write_bytes(whole)
    load(path.name, target=None if path.suffix == ".npz" else "y")


FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(content=st.binary(max_size=300), suffix=st.sampled_from(["csv", "parquet", "npz"]), magic=st.booleans())
def test_random_bytes_never_surprise(content: bytes, suffix: str, magic: bool) -> None:
    start = {"csv": b"x,y\n", "parquet": b"PAR1", "npz": b"PK\x03\x04"}[suffix] if magic else b""
    Path(f"fuzz.{suffix}").write_bytes(start + content + (b"PAR1" if magic and suffix == "parquet" else b""))
    attempt(f"fuzz.{suffix}")


@FUZZ
@given(
    write=st.sampled_from([_csv, _parquet, _npz]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damaged_bytes_never_surprise(write: Callable[[Path], None], changes: list[tuple[float, int]]) -> None:
    path = Path(f"fuzz.{write.__name__[1:]}")
    write(path)
    content = bytearray(path.read_bytes())
    for place, byte in changes:
        content[int(place * len(content))] = byte
    path.write_bytes(content)
    attempt(path.name)


CELL = st.one_of(
    st.sampled_from(["", "NA", "inf", "nan", "True", "1", "2.5", "-0", "1e400", "9" * 30, "a", "b", '"', "2020-01-01"]),
    st.text(max_size=4),
)


@FUZZ
@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=3), max_size=25),
    names=st.lists(st.sampled_from(["y", "x", "z", ""]), min_size=2, max_size=3),
)
def test_random_tables_never_surprise(rows: list[list[str]], names: list[str]) -> None:
    before = set(Path().iterdir())
    text = "\n".join(",".join(row[: len(names)]) for row in [names, *rows])
    Path("fuzz.csv").write_text(text, encoding="utf-8", errors="surrogatepass")
    attempt("fuzz.csv")
    assert set(Path().iterdir()) <= before | {Path("fuzz.csv")}


@FUZZ
@given(
    rows=st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)),
            st.sampled_from(["a", "b", "c d", None]),
            st.floats(-100, 100),
        ),
        min_size=12,
        max_size=40,
    )
)
def test_what_a_column_is_made_of_is_all_there_is_to_know(rows: list[tuple[float | None, str | None, float]]) -> None:
    """The features alone, without scikit-learn, suffice to make the inputs of any raw row."""
    frame = pd.DataFrame(rows, columns=["number", "word", "y"])
    frame["row"] = np.arange(len(frame))
    frame.to_csv("fuzz.csv", index=False)
    try:
        data = load("fuzz.csv", target="y", scale="none")
    except RequestError:
        return
    made = torch.cat([data.x_train, data.x_val, data.x_test])
    place = next(number for number, feature in enumerate(data.columns) if feature.column == "row")
    for row in made:
        raw = frame.iloc[int(row[place])]
        for feature, value in zip(data.columns, row.tolist(), strict=True):
            cell, missing = raw[feature.column], bool(pd.isna(raw[feature.column]))
            if feature.missing:
                expected = float(missing)
            elif feature.equals is not None:
                expected = float(cell == feature.equals)
            else:
                expected = float(np.float32(feature.fill if missing else cell))
            assert value == expected
