"""Tests of `load` and `Data` as a whole: names, seeds, the fingerprint, devices, and the cost of the import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch

from search.data import DATASETS, load
from search.errors import RequestError

HEAVY = ("sklearn", "pandas", "matplotlib", "scipy", "torchvision", "mlflow", "optuna")


def test_the_known_datasets() -> None:
    assert set(DATASETS) == {
        *("digits", "wine", "breast-cancer", "diabetes", "line", "polynomial"),
        *("mnist", "fashion-mnist", "cifar10"),
    }


def test_reading_the_default_dataset_imports_nothing_heavy() -> None:
    code = (
        "import sys, search.data as data; data.load('digits'); data.load('line');"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["wine", "diabetes", "line"])
def test_the_seed_decides_the_data(name: str) -> None:
    first = load(name, seed=5).fingerprint()
    torch.manual_seed(99)
    assert load(name, seed=5).fingerprint() == first
    assert load(name, seed=6).fingerprint() != first


def test_the_fingerprint_is_short_hex_and_differs_by_scale_and_split() -> None:
    prints = [
        load("wine").fingerprint(),
        load("wine", scale="unit").fingerprint(),
        load("wine", scale="none").fingerprint(),
        load("wine", split=(0.5, 0.25, 0.25)).fingerprint(),
        load("breast-cancer").fingerprint(),
    ]
    assert len(set(prints)) == 5
    assert all(len(text) == 16 and int(text, 16) >= 0 for text in prints)


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_val", "y_val", "x_test", "y_test"])
def test_the_fingerprint_sees_one_changed_number_in_any_tensor(name: str) -> None:
    data = load("wine")
    tensor = getattr(data, name).clone()
    assert replace(data, **{name: tensor}).fingerprint() == data.fingerprint()
    tensor[..., -1] += 1
    assert replace(data, **{name: tensor}).fingerprint() != data.fingerprint()


def test_the_fingerprint_sees_shape_task_and_scaling_but_not_the_name() -> None:
    data = load("diabetes")
    assert replace(data, name="other").fingerprint() == data.fingerprint()
    assert replace(data, task="classification").fingerprint() != data.fingerprint()
    assert replace(data, x_val=data.x_val.reshape(-1, 5)).fingerprint() != data.fingerprint()
    assert replace(data, targets=replace(data.inputs)).fingerprint() != data.fingerprint()


def test_data_cannot_be_reassigned() -> None:
    data: Any = load("wine")
    with pytest.raises(FrozenInstanceError):
        data.name = "other"


def test_what_is_pixels_has_a_largest_value() -> None:
    assert [load(name).pixel_max for name in ("digits", "wine", "line")] == [16.0, None, None]
    assert load("digits", scale="none").x_train.max() == 16.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "digts"}, "unknown dataset 'digts': did you mean 'digits'"),
        ({"scale": "units"}, "unknown scale 'units': did you mean 'unit'"),
        ({"split": (0.6, 0.2, 0.3)}, "split must sum to 1"),
        ({"split": (0.998, 0.001, 0.001)}, "leaves a part without rows"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"seed": 1.5}, "seed must be a whole number >= 0, got 1.5"),
        ({"validation": "tset"}, "unknown validation 'tset': did you mean 'test'"),
        (
            {"validation": "half-of-test"},
            r"'half-of-test' is for datasets with an official test set \(mnist, .*got dataset wine",
        ),
        ({"options": {"sigma": 1, "n": 3}}, "dataset wine takes no options, got n, sigma"),
    ],
)
def test_a_wrong_request_is_refused_by_name(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        load(**{"dataset": "wine", **arguments})


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("line", "baf43b813c1dbb55"),
        ("polynomial", "2de0824c6de289fb"),
        ("digits", "729008ccf39038a8"),
        ("wine", "6eb3b4f87404143f"),
        ("diabetes", "3da4a7e61faffcea"),
    ],
)
def test_the_rows_are_those_of_earlier_versions(name: str, known: str) -> None:
    """Otherwise, studies of these data could not go on."""
    assert load(name).fingerprint() == known
