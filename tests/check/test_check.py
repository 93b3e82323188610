"""The overfit check: what can be learnt by heart is, and each thing that may be wrong is found and named."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.data import random_data
from torch import Tensor
from torch.nn import functional as F

from search import Numeric, RequestError, Study, Technique, run
from search.check import diagnosis
from search.check.check import Check
from search.check.weakest import least_regularised
from search.train.losses import CLASSIFICATION, REGRESSION
from search.train.overfit import OneBatch
from search.train.pack import Pack, Slot


@pytest.fixture(autouse=True)
def nothing_is_written(in_an_empty_folder: Path) -> Iterator[None]:
    yield
    assert list(in_an_empty_folder.iterdir()) == []


@pytest.fixture(autouse=True)
def fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the steps: what fails takes all of them, several times."""
    monkeypatch.setattr(diagnosis, "STEPS", 250)


def checked(
    dataset: str = "wine", techniques: Sequence[Technique] = (), *, name: str = "l2", **changes: Any
) -> tuple[Check, Study]:
    """The check of a small study, its learning rate searched unless the changes say otherwise."""
    fixed = {"hidden": "32", "epochs": 25, **changes.pop("set", {})}
    if "lr" not in fixed:
        changes["space"] = {"lr": {"low": 1e-3, "high": 0.3, "log": True}} | changes.get("space", {})
    study = Study(name, dataset=dataset, techniques=techniques, device="cpu", set=fixed, **changes)
    return study.check(), study


@pytest.mark.parametrize("dataset", ["digits", "diabetes"])
def test_a_sound_study_learns_both_batches_by_heart(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["l2+dropout", "--dataset", dataset, "--hidden", "64x64", "--set", "lr=0.003", "--check"]) == 0
    heading, data, noise, meaning = capsys.readouterr().out.splitlines()
    assert (
        heading == f"l2+dropout-{dataset}: one batch of 128 rows, lr 0.0003 to 0.03, hidden=64x64, l2=1e-06, dropout=0"
    )
    # 0.01 ln 10, or 0.001 of the variance of the batch's targets: those of training are standardised.
    for line, batch in ((data, "data"), (noise, "noise")):
        found = re.match(rf"{batch}: +fitted: loss (\S+) < (\S+) after \d+ steps at lr=", line)
        assert found is not None, line
        loss, threshold = map(float, found.groups())
        assert loss < threshold
        assert threshold == pytest.approx(0.0230) if dataset == "digits" else 5e-4 < threshold < 1.5e-3
    assert "work together" in meaning


def test_the_json_says_all_and_the_exit_status_that_something_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["l2", "--dataset", "wine", "--hidden", "16", "--set", "l2=1", "--set", "lr=0.01", "--check", "--json"]
    assert run.main(words) == 1
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (said["study"], said["fitted"], said["values"]) == ("l2-wine", False, {"hidden": "16", "l2": 1.0})
    assert min(said["rates"]) == pytest.approx(1e-3)
    assert max(said["rates"]) == pytest.approx(1e-1)
    assert 0.01 in said["rates"]
    for batch in ("data", "noise"):
        assert said[batch]["rows"] == 106
        assert not said[batch]["fitted"]
        assert said[batch]["loss"] > 0.9 * said[batch]["constant"]
        assert "l2=1 keeps it there: without it the batch is learnt in" in said[batch]["why"]
        assert "constant predictor" in said[batch]["why"]


def test_a_loss_without_a_number_is_text_in_json_and_the_rate_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = "baseline --dataset wine --hidden 16 --set lr=1e30 --space beta1=0.8:0.9 --check --json"
    assert run.main(words.split()) == 1
    said = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert said["data"]["loss"] == "inf"
    assert "the loss is not finite at any learning rate, 1e+29 to 1e+31" in said["data"]["why"]
    assert "learning rates from 1e+29 to 1e+31 are too high: the batch is learnt in" in said["data"]["why"]


def test_a_learning_rate_too_low_is_found() -> None:
    found, _ = checked(set={"lr": 1e-7})
    assert "learning rates from 1e-08 to 1e-06 are too low: the batch is learnt in" in found.data.why
    assert "never falls clearly below that of the best constant predictor" in found.data.why


def test_the_studys_own_learning_rate_is_waited_for_where_another_is_fit() -> None:
    found, _ = checked(set={"lr": 1e-3})
    assert found.data.fitted
    assert found.data.steps < 250
    assert re.search(r"but the study's own lr=0.001 has not learnt it in 250 steps \(loss 0\.\d+\)", found.data.why)
    found, _ = checked(set={"lr": 0.01})
    steps = re.search(r"the study's own lr=0.01 takes (\d+)", found.data.why)
    assert steps is not None
    assert found.data.steps <= int(steps[1]) < 250


def test_of_several_techniques_the_one_that_is_too_strong_is_named() -> None:
    found, _ = checked(name="l1+l2+dropout", set={"l1": 0.3})
    for fit in (found.data, found.noise):
        assert "l1=0.3 keeps it there: without it" in fit.why
    found, _ = checked(name="l1+l2+dropout", set={"l1": 0.3, "l2": 1.0})
    assert "l1=0.3 and l2=1 keep it there: without them" in found.data.why


def test_an_optimisers_weight_decay_is_named_too() -> None:
    found, _ = checked(set={"weight_decay": 30.0})
    assert "weight_decay=30 keeps it there: without it" in found.data.why


def kept(x: Sequence[float], y: Sequence[float]) -> Technique:
    """Training rows with these values in every input."""

    def prepare(data: Any, _setting: Any) -> Any:
        features = torch.tensor(x)[:, None].expand(-1, data.features).contiguous()
        targets = torch.tensor(y) if data.task == "classification" else torch.tensor(y)[:, None]
        return replace(data, x_train=features, y_train=targets)

    return Technique(name="kept", prepare=prepare)


def test_rows_that_contradict_each_other_are_counted_and_their_floor_stated() -> None:
    found, _ = checked(techniques=[kept([0.0, 0.0, 0.0, 1.0, 1.0, -1.0], [0, 0, 1, 2, 2, 0])])
    # Three rows of one input, two of one class: their entropy, over six rows.
    floor = 3 / 6 * -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3))
    assert not found.data.fitted
    assert found.data.floor == pytest.approx(floor)
    assert floor <= found.data.loss < floor + found.data.threshold
    assert (
        found.data.why
        == "3 rows have the same inputs as another row but different targets, so no loss below 0.318 is possible"
    )
    assert found.noise.fitted
    assert (found.data.limited, found.noise.limited) == (True, False)
    assert "the remaining loss lies in the data" in found.meaning


def test_a_batch_of_one_target_is_no_proof() -> None:
    found, _ = checked(techniques=[kept([0.0, 0.5, 1.0], [1, 1, 1])])
    assert found.fitted
    assert "a constant predicts them" in found.data.why


@pytest.mark.parametrize(
    ("loss", "expected"), [("mse", 2 / 9), ("l1", 1 / 3), ("huber", 1 / 9), ("cross_entropy", 0.6365141682948128)]
)
def test_the_best_constant_is_the_best(loss: str, expected: float) -> None:
    classes = loss == "cross_entropy"
    data = random_data(6, 3, 2 if classes else 1, task="classification" if classes else "regression")
    y = torch.tensor([0, 0, 1]) if classes else torch.tensor([[0.0], [0.0], [1.0]])
    batch = OneBatch(data, torch.eye(3), y, torch.device("cpu"), 1)
    function = (CLASSIFICATION | REGRESSION)[loss]
    assert batch.constant_loss(function) == pytest.approx(expected)
    assert batch.least_loss(function, torch.arange(3)) == pytest.approx(0.0, abs=1e-12)
    assert batch.conflicts(function) == (0, 0.0)


def test_the_best_of_each_output_is_found_by_itself() -> None:
    y = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    batch = OneBatch(random_data(9, 3, 2, task="regression"), torch.zeros(9, 3), y, torch.device("cpu"), 1)
    assert batch.constant_loss(REGRESSION["mse"]) == pytest.approx(float(y.var(0, correction=0).mean()))
    assert batch.constant_loss(REGRESSION["l1"]) == pytest.approx(float(F.l1_loss(y.median(0).values.expand(9, -1), y)))
    assert batch.conflicts(REGRESSION["mse"]) == (9, pytest.approx(batch.constant_loss(REGRESSION["mse"])))


def test_a_linear_model_cannot_memorise_noise_of_more_rows_than_it_separates() -> None:
    found, _ = checked(set={"hidden": "0"})
    assert found.data.fitted
    assert not found.noise.fitted
    # 13 inputs and a bias, for 3 classes.
    assert "too small to memorise 106 rows (42 parameters): with hidden=256x256 the batch is learnt" in found.noise.why
    assert "lacks the capacity to overfit" in found.meaning


def test_rows_too_close_to_tell_apart_are_what_a_network_of_one_input_suffers_from() -> None:
    found, _ = checked("line")
    assert not found.data.fitted
    rule = re.search(
        r"different targets are within 0.125 SD .* that does not tell them apart has a loss of (\S+)", found.data.why
    )
    assert rule is not None
    assert "the remaining loss lies in the data" in found.meaning
    # A straight line leaves about 0.01 of the variance.
    assert 1e-3 < float(rule[1]) < 0.02


def test_what_a_blurred_batch_leaves() -> None:
    data = random_data(4, 2, 1, task="regression")
    # The second input is constant; the first has SD 2: three rows within half of it, one beyond.
    x = torch.tensor([[0.0, 7.0], [0.1, 7.0], [0.2, 7.0], [4.1, 7.0]])
    batch = OneBatch(data, x, torch.tensor([[0.0], [3.0], [3.0], [9.0]]), torch.device("cpu"), 1)
    assert batch.blurred_loss(REGRESSION["mse"], 0.5) == pytest.approx((4 + 1 + 1) / 4)
    assert batch.blurred_loss(REGRESSION["mse"], 1e-3) == pytest.approx(0.0, abs=1e-12)


def test_a_dead_network_is_called_dead_and_what_killed_it_is_named() -> None:
    buried = Technique(
        name="buried",
        hyperparameters={"depth_of_grave": Numeric(default=1.0)},
        init=lambda current, _unit, field, _values: current - 1e3 if field.name == "0.bias" else current,
    )
    found, _ = checked(techniques=[buried], set={"activation": "relu"})
    assert "every unit of a hidden layer is dead" in found.data.why
    assert "depth_of_grave=1 keeps it there: without it" in found.data.why


def test_a_loss_that_falls_too_slowly_is_told_with_its_pace() -> None:
    found, _ = checked(set={"lr": 3e-3, "optimizer": "sgd", "hidden": "64"})
    slow = re.search(r"it falls, from (\S+), but too slowly: by (\d+)% in 100 steps at the end", found.data.why)
    assert slow is not None
    assert 1.0 < float(slow[1]) < 1.3
    assert 1 <= int(slow[2]) < 50


def test_inputs_that_are_not_numbers_are_counted() -> None:
    def prepare(data: Any, _setting: Any) -> Any:
        return replace(data, x_train=data.x_train.clone().index_fill_(1, torch.tensor([2]), torch.nan))

    found, _ = checked(techniques=[Technique(name="broken", prepare=prepare)])
    assert "not finite before training begins (106 of the batch's numbers are not finite)" in found.data.why
    assert found.noise.fitted
    assert "the fault lies in the data" in found.meaning


def test_the_batch_is_the_first_of_the_study_and_a_schedule_sees_the_studys_own_epochs() -> None:
    seen: list[Tensor] = []
    rates: list[tuple[int, int]] = []

    def look(x: Tensor, _values: Any) -> Tensor:
        seen.append(x.clone())
        return x

    def rate(step: int, steps: int, values: Mapping[str, Tensor]) -> Tensor:
        rates.append((step, steps))
        return torch.zeros_like(values["lr"])

    watcher = Technique(name="watcher", input=look, rate=rate)
    _, study = checked(techniques=[watcher], set={"batch_size": 40})
    batches = [x for x in seen if x.shape[1] == 40]  # of data and of noise, which train side by side, not of the tryout
    # 25 epochs of 10 steps.
    assert max(step for step, steps in rates if steps == 10) == 249
    values = least_regularised(study.space)
    seen.clear()
    Pack(study.program(values), study.batches, [Slot(0, 0, study.numeric(values))]).run_epoch()
    assert any(torch.equal(seen[0], batch) for batch in batches)


def test_a_study_that_searches_nothing_can_be_checked_but_not_run(tmp_path: Path) -> None:
    found, study = checked(set={"l2": 0.0, "lr": 0.01})
    assert found.fitted
    with pytest.raises(RequestError, match="nothing is searched"):
        study.run(1, observers=[])
    assert list(tmp_path.iterdir()) == []
