"""Metrics of the user's own: they are objectives, are named in what is stored, and are refused if not sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.small_studies import Quiet

from search import Metric, Study
from search.errors import RequestError
from search.record.curves import CURVES, Curves
from search.study.retrain import Retraining, retrain

OWN = '''"""What it costs to take one class for another."""
import torch
from search import Metric

def cost(targets, predictions):
    wrong = predictions.argmax(-1) != targets
    return (wrong * (1 + targets)).double().cumsum(-1)[..., -1] / targets.numel()

metric = Metric(name="val_cost", function=cost, direction="minimize", task="classification")
'''


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "cost.py"
    file.write_text(OWN)
    return file


def owned(tmp_path: Path, *metrics: Metric | Path | str, **changes: Any) -> Study:
    fields = {"trials": 4, "set": {"epochs": 4, "hidden": "8"}, "study_name": "s", "dataset": "wine"} | changes
    return Study("l2", storage=f"sqlite:///{tmp_path}/s.db", tracking_uri=None, metrics=metrics, **fields)


def test_a_metric_of_the_users_own_is_an_objective(tmp_path: Path, own: Path) -> None:
    study = owned(tmp_path, own, objective=["val_cost"], pruner={"name": "median"}).run(observers=[Quiet()])
    assert study.best is not None
    curves = Curves.decode(study.optuna_study.trials[study.best.number].user_attrs[CURVES])
    assert study.best.value == curves.of("val_cost")[0].min()
    ((_, _, network, _, _),) = retrain([Retraining.of(study, study.best.number, study.best.params, [0])], "", str)
    wrong = network.predict(study.batches.x_val)[0, :, :3].argmax(-1) != study.data.y_val
    assert float((wrong * (1 + study.data.y_val)).double().mean()) == pytest.approx(study.best.value)
    with pytest.raises(RequestError, match=r"unknown objective 'val_cost'.*--metric FILE defines one of your own"):
        owned(tmp_path, objective=["val_cost"], pruner={"name": "median"})


def test_a_metric_of_the_users_own_is_named_in_the_recipe_that_is_stored(tmp_path: Path, own: Path) -> None:
    study = owned(tmp_path, own, "val_f1").run(observers=[Quiet()])
    assert study.optuna_study.user_attrs["recipe"]["metrics"] == ["val_f1", "val_cost"]
    assert "best_val_cost" in study.trials()
    with pytest.raises(RequestError, match="differs in metrics: val_f1,val_cost there, none here"):
        _ = owned(tmp_path).optuna_study


def test_a_change_of_its_source_is_told_and_recorded(tmp_path: Path, own: Path) -> None:
    first = owned(tmp_path, own).run(observers=[Quiet()])
    assert not any("val_cost" in note for note in first.notes())
    own.write_text(OWN.replace("1 + targets", "2 + targets"))
    again = owned(tmp_path, own, trials=6)
    _ = again.optuna_study
    (note,) = (note for note in again.notes() if "val_cost" in note)
    assert note.startswith("the source of metric val_cost has changed since the study began")
    again.run(6, observers=[Quiet()])
    (old, new) = (first.optuna_study.user_attrs["environment"], again.optuna_study.trials[-1].user_attrs["environment"])
    assert old["metric val_cost"] != new["metric val_cost"]
    replayed = again.replay(0)
    assert not replayed.exact
    assert any(line.startswith("recorded on metric val_cost") for line in replayed.mismatches)


def mixes(targets: torch.Tensor, predictions: torch.Tensor) -> torch.Tensor:
    return predictions.argmax(-1).eq(targets).double().mean(-1) - predictions.square().mean()


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (mixes, "metric val_own: the result of a slot depends on the other slots"),
        (
            lambda _, p: p.mean(),
            r"metric val_own: ValueError: it must return a tensor of shape \(slots,\), \(2,\) here",
        ),
        (lambda _, p: p.nope, "metric val_own: AttributeError: "),
        (lambda y: y, "metric val_own: TypeError"),
    ],
)
def test_a_metric_that_is_not_sound_is_refused(tmp_path: Path, function: Any, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        owned(tmp_path, Metric("val_own", function))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"defines no `metric = Metric\(...\)`"),
        ("1 / 0", "failed when it was run: ZeroDivisionError"),
        ("from search import Metric\nmetric = Metric('f', max)", "a metric's name is val_ and letters"),
        ("from search import Metric\nmetric = Metric('val_f1', max)", "two metrics 'val_f1': give yours another name"),
        ("from search import Metric\nmetric = Metric('val_x', max, 'up')", "direction is minimize or maximize"),
    ],
)
def test_a_file_that_defines_no_metric_is_refused(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(text)
    with pytest.raises(RequestError, match=told):
        owned(tmp_path, file)
