"""A study that searches the scaling of its inputs: each trial trains in the scale that it chose, and is exported so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_studies import ALONE, Crash, Quiet, small
from torch.nn import functional as F

from search import RequestError, Structural, Study, Technique
from search.data import load
from search.export import __main__ as export
from search.recipe import Recipe
from search.recipe.space import Space
from search.record.curves import CURVES, Curves
from search.train.model_file import load as load_model

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
SCALES = ["standard", "robust", "quantile"]
# Each cell of the grid is a trial, and no trial depends on another.
SEARCHED: dict[str, Any] = {
    **ALONE, "sampler": "grid", "trials": 3, "ask_batch": 3, "space": {"scale": {"choices": SCALES}},
    "set": {"epochs": 4, "hidden": "8", "batch_size": 50, "l2": 1e-4},
}  # fmt: skip


def curves(study: Study, number: int) -> np.ndarray:
    stored = Curves.decode(study.optuna_study.trials[number].user_attrs[CURVES])
    return stored.values[stored.metrics.index("val_loss")]


@pytest.mark.parametrize("data", [{"dataset": "wine"}, {"dataset": "wine", "folds": 2}])
def test_each_trial_trains_as_in_a_study_of_its_scale_alone(tmp_path: Path, data: dict[str, Any]) -> None:
    study = small(tmp_path, **SEARCHED | {"data": data}).run(observers=[Quiet()])
    found = {trial.params["scale"]: trial.number for trial in study.optuna_study.trials}
    assert sorted(found) == sorted(SCALES)
    for scale, number in found.items():
        changes = {"data": {**data, "scale": scale}, "space": {"l2": {"choices": [1e-4]}}, "trials": 1}
        alone = small(tmp_path, storage=f"{scale}.db", **SEARCHED | changes, name=scale).run(observers=[Quiet()])
        assert np.array_equal(curves(study, number), curves(alone, 0))
    assert len({study.optuna_study.trials[number].value for number in found.values()}) == 3


def test_what_leaves_the_study_has_the_scale_of_its_trial(tmp_path: Path) -> None:
    study = small(tmp_path, **SEARCHED).run(observers=[Quiet()])
    wine = load("wine", scale="none")
    for trial in study.optuna_study.trials:
        exported = study.export(f"{trial.number}.safetensors", trial.number)
        assert exported.model.inputs.equals(load("wine", scale=trial.params["scale"]).inputs)
        probabilities = load_model(exported.file).predict(wine.x_val)
        assert F.nll_loss(probabilities.log(), wine.y_val).item() == pytest.approx(trial.value, rel=1e-4)
        predicted = study.predict(wine.x_test.numpy(), trial.number).filter(like="probability").to_numpy()
        np.testing.assert_allclose(predicted, load_model(exported.file).predict(wine.x_test).numpy(), rtol=1e-6)
        calibrated = study.export("calibrated.safetensors", trial.number, calibrate=True).model.meta.calibration
        assert calibrated is not None
        assert calibrated.loss_before == pytest.approx(trial.value, rel=1e-4)
        refitted = study.export("refit.safetensors", trial.number, refit=True).model
        assert refitted.inputs.equals(exported.model.inputs)
        assert study.replay(trial.number).same
        for file in ("calibrated", "refit"):
            Path(f"{file}.safetensors").unlink()
            Path(f"{file}.json").unlink()


def test_an_ensemble_has_the_scale_of_the_best_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = {"scale": {"choices": SCALES}, "lr": {"choices": [0.003, 0.01]}}
    study = small(tmp_path, **SEARCHED | {"trials": 6, "space": space}).run(observers=[Quiet()])
    assert study.best is not None
    words = ["small-wine", "--storage", "sqlite:///study.db", "--device", "cpu", "--ensemble", "4"]
    assert export.main(words) == 0
    assert f"scale {study.best.params['scale']}, that of the best trial" in capsys.readouterr().out
    model, wine = load_model("model.safetensors"), load("wine", scale="none")
    loss = F.nll_loss(model.predict(wine.x_val).log(), wine.y_val).item()
    assert model.inputs.equals(load("wine", scale=study.best.params["scale"]).inputs)
    scales = {study.optuna_study.trials[member.trial or 0].params["scale"] for member in model.meta.members}
    assert scales == {study.best.params["scale"]}
    assert loss == pytest.approx(model.meta.val_loss, rel=1e-4)


def test_a_study_goes_on_after_a_crash_in_the_same_scales(tmp_path: Path) -> None:
    whole = small(tmp_path, storage="whole.db", **SEARCHED).run(observers=[Quiet()])
    with pytest.raises(Crash):
        small(tmp_path, checkpoint=True, **SEARCHED).run(observers=[Quiet(fail_after_epochs=5)])
    again = small(tmp_path, checkpoint=True, **SEARCHED).run(observers=[Quiet()])
    for number in range(3):
        assert np.array_equal(curves(again, number), curves(whole, number))


@pytest.mark.parametrize(
    "changes",
    [
        {"set": {"scale": "robust"}},
        {"settings": [{"set": {"scale": "robust"}}, {"set": {"scale": "unit"}}, {"set": {"lr": 0.1}}]},
    ],
)
def test_a_scale_may_be_fixed_or_listed(changes: dict[str, Any]) -> None:
    space = Space.resolve(Recipe.parse({"name": "a", "data": {"scale": "quantile"}, **changes}, "test"), [])
    # A setting that leaves the scale out has that of the data.
    assert space.scales == (["robust", "unit", "quantile"] if "settings" in changes else ["robust"])


def test_a_recipe_that_does_not_choose_has_no_such_hyperparameter() -> None:
    space = Space.resolve(Recipe.parse({"name": "a", "space": {"lr": {"low": 0.1, "high": 0.2}}}, "test"), [])
    assert "scale" not in space.declared
    assert space.scales == []


def test_a_techniques_own_scale_is_not_that_of_the_inputs() -> None:
    own = Technique(name="own", hyperparameters={"scale": Structural(default="large", choices=("small", "large"))})
    space = Space.resolve(Recipe.parse({"name": "a", "techniques": ["own"], "set": {"scale": "small"}}, "test"), [own])
    assert space.fixed["scale"] == "small"
    assert space.scales == []


@pytest.mark.parametrize(
    ("choices", "says"),
    [
        (
            ["standard", "robust"],
            "digits has pixels, and scale 'robust' is for numbers",
        ),
        (["standard", "rank"], "scale"),
    ],
)
def test_a_scale_that_the_data_cannot_have_is_refused(tmp_path: Path, choices: list[str], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        small(tmp_path, **SEARCHED | {"data": {"dataset": "digits"}, "space": {"scale": {"choices": choices}}})


def test_a_scale_of_the_data_that_no_trial_has_is_noted(tmp_path: Path) -> None:
    data = {"dataset": "wine", "scale": "unit"}
    (note,) = [one for one in small(tmp_path, **SEARCHED | {"data": data}).notes() if "no effect" in one]
    assert note.startswith("scale unit has no effect, because trials have scale standard or robust or quantile")
    for changes in ({}, {"data": data, "set": {"scale": "unit"}, "space": {"lr": {"low": 0.1, "high": 0.2}}}):
        assert not [one for one in small(tmp_path, **SEARCHED | changes).notes() if "no effect" in one]
