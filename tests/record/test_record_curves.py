"""A trial's record is encoded and decoded exactly."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from search.record.curves import Curves, decode_times, encode_times, logged_epochs


def test_curves_survive_json_to_the_bit() -> None:
    values = np.random.default_rng(0).normal(size=(2, 3, 40)).astype(np.float32)
    values[0, 0, :4] = [np.nan, np.inf, -np.inf, -0.0]
    values.view(np.uint32)[1, 1, 1] = 0x7FC00123  # a NaN with a payload
    back = Curves.decode(json.loads(json.dumps(Curves(("train_loss", "val_loss"), values).encode())))
    assert back.metrics == ("train_loss", "val_loss")
    assert back.values.dtype == np.float32
    assert (back.values.view(np.uint32) == values.view(np.uint32)).all()


def test_a_trial_without_an_epoch_has_a_record_too() -> None:
    back = Curves.decode(Curves(("val_loss",), np.zeros((1, 2, 0), np.float32)).encode())
    assert (back.replicates, back.epochs) == (2, 0)


def test_mean_is_over_replicates() -> None:
    values = np.array([[[1, 2, 3], [3, 6, np.nan]]], np.float32)
    np.testing.assert_array_equal(Curves(("val_loss",), values).mean("val_loss"), [2, 4, np.nan])


@pytest.mark.parametrize("change", [{"shape": [1, 1, 4]}, {"shape": [1, 1, 2]}, {"data": "!"}, {"metrics": ["a", "b"]}])
def test_a_damaged_record_is_refused(change: dict[str, object]) -> None:
    record = Curves(("val_loss",), np.ones((1, 1, 3), np.float32)).encode()
    with pytest.raises(ValueError, match=r"\w"):
        Curves.decode(record | change)


def test_an_unknown_metric_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="val_loss"):
        Curves(("val_loss",), np.ones((1, 1, 3), np.float32)).mean("loss")


def test_times_survive_json() -> None:
    times = np.array([1_700_000_000_000, 1_700_000_000_037, 1_700_000_000_012], np.int64)
    np.testing.assert_array_equal(decode_times(json.loads(json.dumps(encode_times(times)))), times)
    with pytest.raises(ValueError, match="times"):
        decode_times({"data": "x"})


@pytest.mark.parametrize(
    ("epochs", "most", "kept"),
    [
        (3, 5, [1, 2, 3]),
        (5, 5, [1, 2, 3, 4, 5]),
        (10, 4, [1, 4, 7, 10]),
        (9, 3, [1, 5, 9]),
        (6, 5, [1, 2, 4, 5, 6]),
        (7, 1, [7]),
        (0, 5, []),
    ],
)
def test_logged_epochs_by_hand(epochs: int, most: int, kept: list[int]) -> None:
    assert logged_epochs(epochs, most).tolist() == kept


def test_logged_epochs_are_distinct_evenly_spaced_and_hold_both_ends() -> None:
    for epochs in [*range(1, 130), 501, 999, 12_345]:
        for most in (2, 50, 500):
            kept = logged_epochs(epochs, most)
            assert len(kept) == min(epochs, most)
            assert (kept[0], kept[-1]) == (1, epochs)
            gaps = np.diff(kept)
            assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_the_training_side_imports_no_mlflow() -> None:
    code = "import sys, search.tracking.link, search.tracking.plan, search.record.curves as c; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"mlflow", "pandas", "sqlalchemy", "torch", "optuna"} & set(loaded)
