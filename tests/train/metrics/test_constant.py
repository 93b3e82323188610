"""The metrics of constant predictors, which the Pareto pruner compares trials with, and sums of any shape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.dummy import DummyClassifier, DummyRegressor

from search.data import Data
from search.train.batches import Batches
from search.train.constant import constant_loss, constant_value
from search.train.metrics.built_in import METRICS
from search.train.metrics.objective import BUILT_IN
from search.train.metrics.sums import total

MakeData = Callable[..., Data]


def value(data: Data, name: str) -> float | None:
    loss = "cross_entropy" if data.task == "classification" else "mse"
    return constant_value(Batches(data), loss, BUILT_IN[name], list(METRICS.values()))


def test_of_classes_it_is_the_better_of_their_shares_and_the_most_frequent_one(make_data: MakeData) -> None:
    data = make_data(50, 4, 3)
    y = data.y_val.numpy()
    most = DummyClassifier(strategy="most_frequent").fit(y, y).predict(y)
    shares = DummyClassifier(strategy="prior").fit(y, y).predict_proba(y)
    assert value(data, "val_accuracy") == pytest.approx(sk.accuracy_score(y, most))
    assert value(data, "val_f1") == pytest.approx(sk.f1_score(y, most, average="macro"))
    assert value(data, "val_brier") == pytest.approx(sk.brier_score_loss(y, shares))
    assert value(data, "val_roc_auc") == pytest.approx(0.5)
    assert value(data, "val_mcc") == 0
    assert value(data, "val_loss") == constant_loss(Batches(data), "cross_entropy")


def test_of_numbers_it_is_the_better_of_mean_and_median(make_data: MakeData) -> None:
    data = make_data(50, 4, 1, task="regression")
    assert data.targets is not None
    y = data.targets.invert(data.y_val.double()).numpy()[:39]  # of an odd number the median is one of them
    odd = type(data)(**{**vars(data), "y_val": data.y_val[:39], "x_val": data.x_val[:39]})
    mean, median = (DummyRegressor(strategy=how).fit(y, y).predict(y) for how in ("mean", "median"))
    assert value(odd, "val_rmse") == pytest.approx(sk.root_mean_squared_error(y, mean))
    assert value(odd, "val_mae") == pytest.approx(sk.mean_absolute_error(y, median))
    assert value(odd, "val_r2") == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["val_loss", "val_rmse", "val_mae", "val_accuracy", "val_brier"])
def test_a_weight_is_a_number_of_rows_and_folds_are_averaged(make_data: MakeData, name: str) -> None:
    task = BUILT_IN[name].task or "regression"
    both = []
    for seed in (0, 1):
        data = make_data(50, 4, 3 if task == "classification" else 1, task=task, seed=seed)
        weights = torch.tensor([1, 0, 3, 1]).repeat(10)  # whose sum is even: the least weighted median counts
        repeated = {f"{part}_val": getattr(data, f"{part}_val").repeat_interleave(weights, 0) for part in "xy"}
        both.append((replace(data, w_val=weights.float()), replace(data, **repeated)))
    (one, alone), (other, its) = both
    known, its_own = value(alone, name), value(its, name)
    assert known is not None
    assert its_own is not None
    assert value(one, name) == pytest.approx(known, rel=1e-6)
    assert value(replace(one, folds=(one, other)), name) == pytest.approx((known + its_own) / 2, rel=1e-6)


def test_a_sum_has_the_same_bits_alone_where_torchs_is_cut_among_threads() -> None:
    values = torch.tensor(np.random.default_rng(0).normal(size=(3, 80_000)))
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for slot in range(3):
            assert torch.equal(total(values[slot : slot + 1]), total(values)[slot : slot + 1])
    finally:
        torch.set_num_threads(before)
