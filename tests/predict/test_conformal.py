"""Prediction intervals and sets: the quantile by hand, and the coverage of simulated rows."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from search.data import Data, Scaling
from search.errors import RequestError
from search.predict.conformal import quantile, rank, statement, with_scores
from search.predict.predictor import Predictor
from search.train.model_file import Model
from search.train.model_meta import Meta
from search.train.model_parts import SCORES, Member


def linear(weight: Tensor, task: str, **meta: object) -> Model:
    """Return a network of one layer, ``x -> W x``, whose inputs and targets are not scaled."""
    outputs, inputs = weight.shape
    tensors = {"0.weight": weight, "0.bias": torch.zeros(outputs)}
    widths = {"inputs": inputs, "targets": outputs} if task == "regression" else {"inputs": inputs}
    for name, width in widths.items():
        tensors |= {f"{name}.shift": torch.zeros(width), f"{name}.scale": torch.ones(width)}
    classes = tuple("abcdef"[:outputs]) if task == "classification" else ()
    fields = {"widths": (inputs, outputs), "activation": "relu", "task": task, "classes": classes, "dataset": "drawn"}
    return Model(Meta.model_validate(fields | meta), tensors)


def drawn(x: Tensor, y: Tensor, scaling: Scaling | None) -> Data:
    """Return data whose validation rows are these; nothing else of them matters here."""
    none = x[:0]
    inputs = Scaling(torch.zeros(x.shape[1]), torch.ones(x.shape[1]))
    task = "classification" if scaling is None else "regression"
    return Data("drawn", task, none, y[:0], x, y, none, y[:0], 2, inputs, scaling, None, (), None)  # type: ignore[arg-type]


@given(st.integers(1, 500), st.integers(1, 99))
@example(99, 7)  # in binary, 100 * 0.07 is more than 7
def test_the_rank_is_the_smallest_that_covers(rows: int, percent: int) -> None:
    level = percent / 100
    try:
        k = rank(rows, level)
    except RequestError:
        assert Fraction(rows, rows + 1) < Fraction(percent, 100)
    else:
        assert Fraction(k - 1, rows + 1) < Fraction(percent, 100) <= Fraction(k, rows + 1)


def test_too_few_rows_for_a_level_are_counted() -> None:
    with pytest.raises(RequestError, match=r"interval 0.95 needs at least 19 .*has 18: the largest share is 0.947$"):
        rank(18, 0.95)
    assert rank(19, 0.95) == 19
    for level in (0, 1, -0.1, 90):
        with pytest.raises(RequestError, match=r"a share between 0 and 1, such as 0\.9, got"):
            rank(100, level)


def test_intervals_hold_the_truth_as_often_as_stated() -> None:
    """Over many draws of the validation rows, the mean coverage is k / (n + 1), whatever the network and the noise."""
    generator = torch.Generator().manual_seed(0)
    model, level, rows = linear(torch.tensor([[1.0, -0.5]]), "regression"), 0.8, 30
    scaling = Scaling(torch.zeros(1), torch.ones(1))
    covered = []
    for _ in range(300):
        x = torch.randn(rows + 50, 2, generator=generator)
        # The network is wrong, and the noise is skewed and grows with x.
        noise = torch.rand(rows + 50, 1, generator=generator).log() * (1 + x[:, :1].abs())
        y = x.sum(1, keepdim=True).sin() + noise
        scored = with_scores(model, drawn(x[:rows], y[:rows], scaling))
        frame = Predictor(scored).predict(x[rows:].numpy(), interval=level)
        truth = y[rows:, 0].numpy()
        covered.append(((frame["lower"] <= truth) & (truth <= frame["upper"])).mean())
        assert np.allclose(frame["upper"] - frame["lower"], 2 * float(quantile(scored, level)), rtol=1e-5)
    assert rank(rows, level) == 25
    assert np.mean(covered) == pytest.approx(25 / 31, abs=4 * np.std(covered) / np.sqrt(300))
    assert "at least 0.8 of new rows like the 30 validation rows (expected: 0.8065)" in statement(scored, level)


def test_sets_of_classes_hold_the_truth_as_often_as_stated() -> None:
    generator = torch.Generator().manual_seed(1)
    model, level, rows = linear(torch.randn(4, 3, generator=generator), "classification"), 0.9, 40
    covered = []
    for _ in range(200):
        x = torch.randn(rows + 50, 3, generator=generator)
        y = torch.multinomial((2 * x @ torch.randn(3, 4, generator=generator)).softmax(1), 1, generator=generator)[:, 0]
        scored = with_scores(model, drawn(x[:rows], y[:rows], None))
        frame = Predictor(scored).predict(x[rows:].numpy(), interval=level)
        truth = np.array(list("abcd"))[y[rows:]]
        covered.append(
            np.mean([a in held.split(" | ") for a, held in zip(truth, frame["prediction_set"], strict=True)])
        )
    assert np.mean(covered) == pytest.approx(37 / 41, abs=4 * np.std(covered) / np.sqrt(200))


def test_a_set_holds_the_classes_that_are_probable_enough() -> None:
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0]])
    scored = with_scores(linear(torch.eye(2), "classification"), drawn(x, torch.tensor([0, 0, 1]), None))
    expected = np.sort([0.5, 1 / (1 + np.exp(2)), 1 / (1 + np.exp(4))])
    np.testing.assert_allclose(scored.tensors[SCORES][:, 0], expected, rtol=1e-5)
    frame = Predictor(scored).predict(np.array([[0, 0], [3, 0], [0, 1.0]]), interval=0.5)
    assert list(frame["prediction_set"]) == ["", "a", ""]
    assert list(Predictor(scored).predict(np.array([[0, 0], [3, 0.0]]), interval=0.75)["prediction_set"]) == [
        "a | b",
        "a",
    ]


def test_each_target_has_intervals_of_its_own_in_its_units() -> None:
    model = linear(torch.eye(2), "regression", target_names=("price", "rent"))
    scaling = Scaling(torch.tensor([100.0, 1.0]), torch.tensor([10.0, 0.5]))
    tensors = {**model.tensors, "targets.shift": scaling.shift, "targets.scale": scaling.scale}
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    y = x + torch.tensor([[1.0, 0.0], [-2.0, 0.5], [0.0, -1.0]])
    scored = with_scores(replace(model, tensors=tensors), drawn(x, y, scaling))
    frame = Predictor(scored).predict(np.array([[1.0, 1.0]]), interval=0.5)
    names = ["prediction_price", "lower_price", "upper_price", "prediction_rent", "lower_rent", "upper_rent"]
    assert list(frame.columns) == names
    np.testing.assert_allclose(frame.to_numpy()[0], [110, 100, 120, 1.5, 1.25, 1.75], rtol=1e-6)


def test_a_model_without_held_out_rows_has_no_intervals() -> None:
    model = linear(torch.eye(2), "classification")
    with pytest.raises(RequestError, match="exported by an older version: export it again"):
        Predictor(model).predict(np.zeros((1, 2)), interval=0.9)
    refitted = replace(model, meta=model.meta.model_copy(update={"refit_epochs": 3}))
    data = drawn(torch.zeros(3, 2), torch.tensor([0, 1, 0]), None)
    assert with_scores(refitted, data) is refitted
    member = Member(widths=(2, 2), activation="relu", count=1, refit_epochs=3)
    ensemble = replace(model, meta=model.meta.model_copy(update={"members": (member,), "format": 2}))
    assert with_scores(ensemble, data) is ensemble
    with pytest.raises(RequestError, match="it was trained on them too"):
        Predictor(refitted).predict(np.zeros((1, 2)), interval=0.9)
