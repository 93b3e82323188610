"""Tests of the small data sets against scikit-learn's own loaders."""

from __future__ import annotations

import gzip
import importlib
import importlib.machinery
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from search.data import Data, load
from search.errors import EnvironmentFault, RequestError

NAMES = ("digits", "wine", "breast-cancer", "diabetes")


def bunch(name: str) -> Any:
    from sklearn import datasets

    if name == "diabetes":
        return datasets.load_diabetes(scaled=False)
    return getattr(datasets, f"load_{name.replace('-', '_')}")()


def unscaled(data: Data) -> NDArray[np.float32]:
    """Return all rows of all parts, ``rows x (features + 1)``, in the user's units, sorted by their features."""
    parts = []
    for x, y in ((data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)):
        target = y[:, None] if data.targets is None else data.targets.invert(y)
        parts.append(np.hstack([data.inputs.invert(x).numpy(), target.numpy()]).astype(np.float32))
    return in_order(np.vstack(parts))


def in_order(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows[np.lexsort(rows[:, :-1].T)]


@pytest.mark.parametrize("name", NAMES)
def test_the_three_parts_together_are_scikit_learns_rows(name: str) -> None:
    data, official = load(name, scale="none"), bunch(name)
    expected = in_order(np.hstack([official.data, official.target[:, None]]).astype(np.float32))
    found = unscaled(data)
    np.testing.assert_array_equal(found[:, :-1], expected[:, :-1])
    np.testing.assert_allclose(found[:, -1], expected[:, -1], rtol=1e-6)
    assert data.features == official.data.shape[1]


@pytest.mark.parametrize(("name", "shape"), [("digits", (1797, 64)), ("diabetes", (442, 10))])
def test_parts_have_their_shares_and_types(name: str, shape: tuple[int, int]) -> None:
    data = load(name, split=(0.5, 0.3, 0.2))
    sizes = [len(data.x_train), len(data.x_val), len(data.x_test)]
    assert sum(sizes) == shape[0]
    np.testing.assert_allclose(sizes, np.array([0.5, 0.3, 0.2]) * shape[0], atol=6)
    assert data.x_train.dtype == torch.float32
    assert data.y_val.dtype == (torch.int64 if name == "digits" else torch.float32)
    assert data.y_val.shape == ((sizes[1],) if name == "digits" else (sizes[1], 1))


@pytest.mark.parametrize("name", ["digits", "wine", "breast-cancer"])
def test_each_part_has_each_class_in_its_share(name: str) -> None:
    data, counts = load(name), np.bincount(bunch(name).target)
    for y, share in ((data.y_train, 0.6), (data.y_val, 0.2), (data.y_test, 0.2)):
        assert np.abs(np.bincount(y.numpy()) - share * counts).max() <= 1
    assert data.outputs == len(counts) == len(data.classes)


@pytest.mark.parametrize("name", ["wine", "breast-cancer"])
def test_class_names_are_scikit_learns(name: str) -> None:
    assert load(name).classes == tuple(bunch(name).target_names)


def test_digits_are_images_of_8_by_8_with_the_digits_as_classes() -> None:
    data = load("digits")
    assert data.image_shape == (1, 8, 8)
    assert data.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert load("wine").image_shape is None


def test_scikit_learns_diabetes_target_is_restored_by_the_target_scaling() -> None:
    data = load("diabetes")
    assert data.targets is not None
    assert data.classes == ()
    assert data.outputs == 1
    assert data.y_train.mean().item() == pytest.approx(0, abs=1e-6)
    assert data.y_train.std(correction=0).item() == pytest.approx(1, abs=1e-6)
    mean = float(data.targets.invert(data.y_train).mean())
    assert mean == pytest.approx(float(data.targets.shift), rel=1e-6)
    assert mean == pytest.approx(bunch("diabetes").target.mean(), abs=15)


@pytest.mark.parametrize("name", NAMES)
def test_standard_is_fitted_on_the_training_rows_alone(name: str) -> None:
    data = load(name)
    varies = data.x_train.amin(dim=0) != data.x_train.amax(dim=0)
    np.testing.assert_allclose(data.x_train.mean(dim=0).numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(data.x_train.std(dim=0, correction=0)[varies].numpy(), 1, atol=1e-5)
    assert data.x_val.mean(dim=0).abs().max() > 1e-3
    assert data.x_test.mean(dim=0).abs().max() > 1e-3


def test_unit_digits_are_sixteenths_and_unit_tables_have_the_training_range() -> None:
    digits, raw = load("digits", scale="unit"), load("digits", scale="none")
    assert torch.equal(digits.x_test * 16, raw.x_test)
    assert float(raw.x_train.max()) == 16
    wine = load("wine", scale="unit")
    torch.testing.assert_close(wine.x_train.amin(dim=0), torch.zeros(13))
    torch.testing.assert_close(wine.x_train.amax(dim=0), torch.ones(13))


class Broken:
    """A copy of scikit-learn's data folder in which one file can be rewritten."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.find_spec("sklearn")
        assert spec is not None
        assert spec.origin is not None
        self.data = folder / "datasets" / "data"
        shutil.copytree(Path(spec.origin).parent / "datasets" / "data", self.data)
        self.spec = importlib.machinery.ModuleSpec("sklearn", None, origin=str(folder / "__init__.py"))


@pytest.fixture
def broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Broken:
    copy = Broken(tmp_path / "sklearn")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: copy.spec if name == "sklearn" else None)
    return copy


def test_a_missing_file_is_named(broken: Broken) -> None:
    (broken.data / "wine_data.csv").unlink()
    with pytest.raises(EnvironmentFault, match=r"dataset wine: .*wine_data\.csv is missing: reinstall scikit-learn$"):
        load("wine")


def test_a_truncated_file_is_named(broken: Broken) -> None:
    path = broken.data / "digits.csv.gz"
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(EnvironmentFault, match=r"dataset digits: cannot read .*digits\.csv\.gz: Compressed file ended"):
        load("digits")


def test_a_file_with_words_for_numbers_is_named(broken: Broken) -> None:
    path = broken.data / "wine_data.csv"
    path.write_text(path.read_text().replace("14.23", "much", 1))
    with pytest.raises(EnvironmentFault, match=r"cannot read .*wine_data\.csv: could not convert string 'much'"):
        load("wine")


def test_a_file_with_rows_missing_is_named(broken: Broken) -> None:
    path = broken.data / "breast_cancer.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-9]))
    with pytest.raises(EnvironmentFault, match=r"breast_cancer\.csv holds 560 rows x 31 columns, expected 569 x 31"):
        load("breast-cancer")


def test_a_class_number_outside_the_classes_is_refused(broken: Broken) -> None:
    path = broken.data / "wine_data.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[-1].rpartition(",")[0] + ",3"]))
    with pytest.raises(EnvironmentFault, match=r"wine_data\.csv has class numbers outside 0\.\.2"):
        load("wine")


def test_a_cell_that_is_no_finite_number_is_named_by_column(broken: Broken) -> None:
    with gzip.open(broken.data / "diabetes_data_raw.csv.gz", "rt") as file:
        lines = file.read().splitlines()
    cells = lines[6].split()
    lines[6] = " ".join([*cells[:3], "nan", *cells[4:]])
    with gzip.open(broken.data / "diabetes_data_raw.csv.gz", "wt") as file:
        file.write("\n".join(lines))
    with pytest.raises(RequestError, match=r"dataset diabetes: column 4 of diabetes_data_raw\.csv\.gz .* in row 7$"):
        load("diabetes")


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(EnvironmentFault, match=r"dataset wine ships with scikit-learn.*: pip install scikit-learn$"):
        load("wine")
