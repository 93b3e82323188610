"""The metrics against scikit-learn's, with ties, weights, absent classes and one class only, and their independence of
the number of slots."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

from search.train.metrics.built_in import METRICS

Floats = NDArray[np.float64]
Reference = Callable[..., float]


def by_class(score: Reference) -> Reference:
    """Return the mean over the classes that occur of a score of each against the rest; of two, that of the second."""

    def mean(y: Floats, p: Floats, **more: Floats | None) -> float:
        if p.shape[1] == 2:
            return float(score(y == 1, p[:, 1], **more))
        return float(np.mean([score(y == k, p[:, k], **more) for k in np.unique(y)]))

    return mean


def labelled(score: Reference, **fixed: object) -> Reference:
    return lambda y, p, **more: float(score(y, p.argmax(1), **fixed, **more))


def brier(y: Floats, p: Floats, **more: Floats | None) -> float:
    if p.shape[1] == 2:
        return float(sk.brier_score_loss(y, p[:, 1], pos_label=1, **more))
    return float(sk.brier_score_loss(y, p, labels=range(p.shape[1]), **more))


CLASSES: dict[str, Reference] = {
    "val_accuracy": labelled(sk.accuracy_score),
    "val_balanced_accuracy": labelled(sk.balanced_accuracy_score),
    "val_f1": labelled(sk.f1_score, average="macro"),
    "val_mcc": labelled(sk.matthews_corrcoef),
    "val_roc_auc": by_class(sk.roc_auc_score),
    "val_average_precision": by_class(sk.average_precision_score),
    "val_brier": brier,
}
NUMBERS: dict[str, Reference] = {
    "val_rmse": lambda y, p, **more: float(np.sqrt(sk.mean_squared_error(y, p, **more))),
    "val_mae": sk.mean_absolute_error,
    "val_r2": sk.r2_score,
    "val_mape": sk.mean_absolute_percentage_error,
}
SLOTS = 3


def probabilities(rng: np.random.Generator, rows: int, classes: int, *, ties: bool) -> Floats:
    """Return random class probabilities; with ties they are shares of eight, so that many rows are equal."""
    if ties:
        return rng.multinomial(8, np.full(classes, 1 / classes), size=(SLOTS, rows)) / 8
    return rng.dirichlet(np.full(classes, 0.5), size=(SLOTS, rows))


def agrees(name: str, reference: Reference, y: Floats, p: Floats, weights: Floats | None) -> None:
    given = None if weights is None else torch.tensor(weights)
    ours = METRICS[name](torch.tensor(y), torch.tensor(p), given).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [reference(y, slot, sample_weight=weights) for slot in p]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_classes(name: str, classes: int, ties: bool, weighted: bool) -> None:
    rng = np.random.default_rng(classes)
    y, p = rng.integers(0, classes, 57), probabilities(rng, 57, classes, ties=ties)
    agrees(name, CLASSES[name], y, p, rng.uniform(0.1, 3, 57) if weighted else None)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_classes_that_do_not_occur(name: str, weighted: bool) -> None:
    """Classes 1 and 4 of five have no rows; class 4 is never predicted either."""
    rng = np.random.default_rng(1)
    y, p = rng.choice([0, 2, 3], 40), probabilities(rng, 40, 5, ties=False)
    p[..., 4] = 0
    p /= p.sum(-1, keepdims=True)
    agrees(name, CLASSES[name], y, p, rng.integers(1, 4, 40).astype(float) if weighted else None)


@pytest.mark.parametrize("name", sorted(set(CLASSES) - {"val_roc_auc"}))
@pytest.mark.parametrize(("classes", "only"), [(2, 0), (2, 1), (4, 2)])
def test_one_class_only(name: str, classes: int, only: int) -> None:
    rng = np.random.default_rng(2)
    agrees(name, CLASSES[name], np.full(20, only), probabilities(rng, 20, classes, ties=False), None)


@pytest.mark.parametrize(("classes", "only"), [(2, 0), (2, 1), (4, 2)])
def test_one_class_only_has_no_roc_curve(classes: int, only: int) -> None:
    p = probabilities(np.random.default_rng(2), 20, classes, ties=False)
    y = np.full(20, only)
    assert METRICS["val_roc_auc"](torch.tensor(y), torch.tensor(p)).isnan().all()
    with pytest.warns(UndefinedMetricWarning):
        assert np.isnan(sk.roc_auc_score(y == 1, p[0, :, 0]))


@pytest.mark.parametrize("name", CLASSES)
def test_every_row_gets_the_same_prediction(name: str) -> None:
    y = np.random.default_rng(3).integers(0, 3, 30)
    agrees(name, CLASSES[name], y, np.broadcast_to([0.2, 0.5, 0.3], (SLOTS, 30, 3)).copy(), None)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_of_numbers(name: str, outputs: int, weighted: bool) -> None:
    rng = np.random.default_rng(outputs)
    y = 5 + rng.normal(size=(44, outputs)) * [1.0, 100.0, 0.01][:outputs]
    p = y + rng.normal(size=(SLOTS, 44, outputs))
    agrees(name, NUMBERS[name], y, p, rng.uniform(0.1, 3, 44) if weighted else None)


@pytest.mark.parametrize("name", NUMBERS)
def test_targets_that_do_not_vary_or_are_zero(name: str) -> None:
    """The first output is constant and predicted exactly by slot 0; the second is zero in some rows."""
    rng = np.random.default_rng(5)
    y = np.stack([np.full(12, 0.5), np.where(np.arange(12) % 3 == 0, 0.0, 2.0)], 1)
    p = y + rng.normal(size=(SLOTS, 12, 2))
    p[0, :, 0] = y[:, 0]
    agrees(name, NUMBERS[name], y, p, None)


def test_one_row_has_no_r2() -> None:
    assert METRICS["val_r2"](torch.ones(1, 1).double(), torch.zeros(2, 1, 1).double()).isnan().all()


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_slot_has_the_same_bits_alone_and_among_others(name: str, weighted: bool) -> None:
    rng = np.random.default_rng(7)
    if name in CLASSES:
        y, p = torch.tensor(rng.integers(0, 7, 333)), torch.tensor(rng.dirichlet(np.ones(7), size=(19, 333)))
    else:
        y, p = torch.tensor(rng.normal(size=(333, 3))), torch.tensor(rng.normal(size=(19, 333, 3)))
    weights = torch.tensor(rng.uniform(size=333)) if weighted else None
    packed = METRICS[name](y, p, weights)
    for slot in range(19):
        assert torch.equal(METRICS[name](y, p[slot : slot + 1].clone(), weights), packed[slot : slot + 1])
    assert torch.equal(METRICS[name](y, p[4:12], weights), packed[4:12])


@pytest.mark.parametrize("name", METRICS)
def test_many_weightings_at_once_are_those_of_rows_drawn_with_replacement(name: str) -> None:
    """Each weighting counts how often a row is drawn, and the metric is that of scikit-learn for the drawn rows."""
    rng = np.random.default_rng(8)
    if name in CLASSES:
        y, p = rng.integers(0, 4, 25), probabilities(rng, 25, 4, ties=True)
    else:
        y, p = 3 + rng.normal(size=(25, 2)), 3 + rng.normal(size=(SLOTS, 25, 2))
    drawn = rng.integers(0, 25, (6, 25))
    counts = np.stack([np.bincount(rows, minlength=25) for rows in drawn]).astype(float)
    ours = METRICS[name].function(torch.tensor(y), torch.tensor(p), torch.tensor(counts)[:, None])
    assert ours.shape == (6, SLOTS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = [[(CLASSES | NUMBERS)[name](y[rows], slot[rows]) for slot in p] for rows in drawn]
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-9)


@pytest.mark.parametrize("name", METRICS)
def test_a_prediction_that_is_not_finite_has_no_metric(name: str) -> None:
    p = torch.full((3, 6, 2), 0.5, dtype=torch.float64)
    p[1, 2, 1], p[2, 3, 0] = torch.nan, torch.inf
    y = torch.tensor([0, 1, 0, 1, 0, 1]) if name in CLASSES else torch.rand(6, 2).double() + 1
    assert METRICS[name](y, p).isfinite().tolist() == [True, False, False]
