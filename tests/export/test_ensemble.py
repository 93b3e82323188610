"""An ensemble is chosen greedily by its validation loss, and its file predicts the mean of its networks."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from support.small_studies import SMALL, Quiet, small
from torch.nn import functional as F

from search import RequestError, Study
from search.data import load as load_data
from search.export import __main__ as export
from search.export import ensemble
from search.export.loading import plain_network
from search.export.refit import joined
from search.recipe import Recipe
from search.study.chosen import chosen_trial
from search.study.retrain import Retraining, retrain
from search.train.model_file import load

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def rmse(values: torch.Tensor) -> float:
    return float((values - 5).square().mean().sqrt())


def columns(*errors: float) -> list[torch.Tensor]:
    """Candidates with these errors, where the truth is 5."""
    return [torch.tensor([[5 + error]], dtype=torch.float64) for error in errors]


def test_the_choice_by_hand() -> None:
    """The first two are the best start, with a mean error of -0.1; of three, 1 - 1.2 + 1 has the least, 0.8 / 3."""
    assert ensemble.select(columns(1.0, -1.2, 3.0), rmse, 2) == [0, 1]
    assert ensemble.select(columns(1.0, -1.2, 3.0), rmse, 3) == [0, 1, 0]
    assert ensemble.select(columns(1.0, 1.5, 2.0), rmse, 3) == [0, 0, 0]
    assert ensemble.select(columns(1.0, 1.0), rmse, 4) == [0, 0, 0, 0], "of equal ones the first"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-3, 3), min_size=4, max_size=4), min_size=2, max_size=8), st.integers(2, 9))
def test_the_choice_is_that_of_a_plain_loop(rows: list[list[float]], count: int) -> None:
    table = np.array(sorted(rows, key=lambda row: float(np.mean(np.square(np.array(row) - 1)))))

    def loss(chosen: list[int]) -> float:
        return float(np.mean(np.square(table[chosen].mean(0) - 1)))

    chosen = min(([*range(size)] for size in range(1, min(5, count, len(table)) + 1)), key=loss)
    while len(chosen) < count:
        chosen = min(([*chosen, candidate] for candidate in range(len(table))), key=loss)
    candidates = [torch.tensor(row)[:, None] for row in table]
    found = ensemble.select(candidates, lambda values: float((values - 1).square().mean()), count)
    # Where rounding decides between equal ones, the losses are equal.
    assert len(found) == count
    assert loss(found) == pytest.approx(loss(chosen), rel=1e-6, abs=1e-12)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """With two shapes and two replicates."""
    space = {"l2": {"low": 1e-6, "high": 1e-1, "log": True}, "hidden": {"choices": ["8", "16x4"]}}
    return small(tmp_path, space=space, trials=6, replicates=2, pruner={"name": "none"}).run(
        observers=[Quiet()], decide=False
    )


def command(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    status = export.main([*words, "--storage", "sqlite:///study.db", "--device", "cpu", "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    said: dict[str, Any] = json.loads(out)
    return said


def test_an_ensemble_predicts_the_mean_of_its_networks(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    said = command(capsys, "small-wine", "--ensemble", "7")
    members = said["members"]
    assert sum(one["count"] for one in members) == 7
    trials = {trial.number: trial for trial in study.optuna_study.trials}
    mean = torch.zeros(len(study.data.x_val), 3)
    for one in members:
        params = trials[one["trial"]].params
        (network,) = retrain([Retraining.of(study, one["trial"], params, [one["replicate"]])], "again")
        assert network.val_loss == one["val_loss"]
        mean += one["count"] / 7 * network.network.predict(study.batches.x_val)[0, :, :3].softmax(1)
    loss = F.nll_loss(mean.log(), study.data.y_val).item()
    assert said["val_loss"] == pytest.approx(loss, rel=1e-5)
    of_all = {(one.trial, one.replicate): one.val_loss for one in retrain(_every(study), "all")}
    assert len(of_all) == 18
    best = min(of_all.values())
    assert min(one["val_loss"] for one in members) == best
    (text,) = [note for note in said["notes"] if note.startswith("val_loss")]
    assert f"best single network {best:.4g}, ensemble {loss:.4g}" in text
    assert "optimistic" in text
    # The printed lines, without this package; the model as plain modules; ONNX; and the model itself.
    rows = study.data.inputs.invert(study.data.x_val)
    np.save("rows.npy", rows.numpy())
    code = ["import sys; sys.modules['search'] = None", "import numpy, torch"]
    code += ["rows = torch.from_numpy(numpy.load('rows.npy'))", *said["lines"]]
    code += ["numpy.save('outputs.npy', outputs.detach().numpy())"]
    subprocess.run([sys.executable, "-c", "\n".join(code)], check=True)
    np.testing.assert_allclose(np.load("outputs.npy"), mean.numpy(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain_network(load("model.safetensors"))(rows).softmax(1), mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(load("model.safetensors").predict(rows), mean, rtol=1e-4, atol=1e-5)
    command(capsys, "small-wine", "--ensemble", "7", "--format", "onnx")
    found = onnxruntime.InferenceSession("model.onnx").run(None, {"rows": rows.numpy()})[0]
    np.testing.assert_allclose(found, mean.numpy(), rtol=1e-5, atol=1e-5)


def _every(study: Study) -> list[Retraining]:
    return [Retraining.of(study, trial.number, trial.params, [0, 1, 2]) for trial in study.optuna_study.trials]


def test_an_ensemble_of_a_regression_averages_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small(tmp_path, data={"dataset": "diabetes"}, loss="l1", replicates=2).run(
        observers=[Quiet()], decide=False
    )
    said = command(capsys, "small-diabetes", "--ensemble", "4")
    rows = study.data.inputs.invert(study.data.x_val)
    assert study.data.targets is not None
    truth = study.data.targets.invert(study.data.y_val)
    values = plain_network(load("model.safetensors"))(rows)
    loss = ((values - truth) / study.data.targets.scale).abs().mean().item()
    assert said["val_loss"] == pytest.approx(loss, rel=1e-4)
    torch.testing.assert_close(load("model.safetensors").predict(rows), values, rtol=1e-4, atol=1e-2)
    names = {"rows": rows}
    exec("\n".join(said["lines"]), names)
    torch.testing.assert_close(names["outputs"], values, rtol=1e-4, atol=1e-2)


def test_the_loss_weighs_rows_as_the_study_does(tmp_path: Path) -> None:
    data = load_data("wine")
    weights = {
        f"w_{part}": torch.linspace(0.1, 3, len(getattr(data, f"y_{part}"))) for part in ("train", "val", "test")
    }
    recipe = Recipe.parse({**SMALL, "trials": 4}, "test")
    study = Study(
        recipe,
        storage=f"sqlite:///{tmp_path}/study.db",
        tracking_uri=None,
        device="cpu",
        loaded=replace(data, **weights),
    ).run(observers=[Quiet()], decide=False)
    loss = ensemble.loss_of(study.data, study.loss)
    for one in retrain([Retraining.of(study, 0, study.optuna_study.trials[0].params, [0])], "again"):
        predicted = one.network.predict(study.batches.x_val)[0, :, :3].double().softmax(1)
        assert loss(predicted) == pytest.approx(one.val_loss, rel=1e-6)
        assert loss(predicted) != pytest.approx(ensemble.loss_of(data, study.loss)(predicted), rel=1e-3)
    calibration = study.export(tmp_path / "model.safetensors", calibrate=True).model.meta.calibration
    assert study.best is not None
    assert calibration is not None
    assert calibration.loss_before == pytest.approx(study.best.value, rel=1e-5)
    assert calibration.loss < calibration.loss_before
    both = joined(study.data).w_train
    assert both is not None
    assert torch.equal(both, torch.cat([weights["w_train"], weights["w_val"]]))


def test_members_of_a_cross_validation_share_the_first_fold(tmp_path: Path) -> None:
    study = small(tmp_path, data={"dataset": "wine", "folds": 3}, trials=3, replicates=2, pruner={"name": "none"}).run(
        observers=[Quiet()]
    )
    model = study.export(tmp_path / "model.safetensors", ensemble=5).model
    assert {member.replicate for member in model.meta.members} <= {0, 3, 6}, "the others have learned from these rows"
    assert model.meta.val_loss == pytest.approx(
        F.nll_loss(model.predict(study.data.inputs.invert(study.data.x_val)).log(), study.data.y_val).item(), rel=1e-4
    )


def test_what_is_no_ensemble(study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, says in (
        (["--ensemble", "0"], "ensemble takes a number of choices, 2 or more, got 0"),
        (["--ensemble", "3", "--trial", "1"], "give either --ensemble 3, which chooses the trials, or --trial 1"),
        (["--ensemble", "3", "--one-se"], "or --one-se"),
        (["--format", "onnx", "--output", "a.safetensors"], "format onnx takes an --output that ends in .onnx"),
    ):
        assert export.main(["small-wine", "--storage", "sqlite:///study.db", *words]) == 2
        err = capsys.readouterr().err
        assert says in err
        assert len(err.splitlines()) == 1
    assert not list(tmp_path.glob("model*"))
    said = command(capsys, "small-wine", "--ensemble", "1")
    assert said["notes"] == ["an ensemble of 1 is a single network: that of the chosen trial"]
    chosen = chosen_trial(study)
    assert chosen is not None
    assert said["trial"] == chosen.number
    assert load("model.safetensors").meta.format == 1
    assert export.main(["small-wine", "--storage", "sqlite:///study.db", "--ensemble", "2"]) == 2
    assert re.search("holds trial .* of small-wine, not an ensemble of small-wine", capsys.readouterr().err)


def test_more_replicates_are_trained_where_there_are_few(tmp_path: Path) -> None:
    alone = small(tmp_path, trials=1, ask_batch=1)
    with pytest.raises(RequestError, match="study 'small-wine' has no complete trial"):
        alone.export(tmp_path / "model.safetensors", ensemble=3)
    exported = alone.run(observers=[Quiet()], decide=False).export(tmp_path / "model.safetensors", ensemble=9)
    assert "9 choices from 3 networks of the best trial" in exported.notes[0]
    (trial,) = alone.optuna_study.trials
    losses = {one.replicate: one.val_loss for one in retrain([Retraining.of(alone, 0, trial.params, range(3))], "all")}
    best = min(losses, key=losses.__getitem__)
    assert best in {one.replicate for one in exported.model.meta.members if one.val_loss == losses[best]}
    assert best > 0, "a replicate that the search has not trained"


def test_the_members_of_a_file_are_checked_and_refused_as_a_start(study: Study, tmp_path: Path) -> None:
    study.export(tmp_path / "model.safetensors", ensemble=3)
    model = load(tmp_path / "model.safetensors")
    assert model.meta.format == 2
    assert model.digest == load(tmp_path / "model.safetensors").digest
    with pytest.raises(RequestError, match="holds an ensemble, of which no one can be trained on"):
        small(tmp_path, techniques=["fine_tune"], set={"source": str(tmp_path / "model.safetensors")}, space={})


@pytest.mark.usefixtures("in_an_empty_folder")
def test_an_ensemble_is_chosen_by_the_objective(tmp_path: Path) -> None:
    made = small(tmp_path, objective=["val_roc_auc"], pruner={"name": "none"}).run(observers=(), decide=False)
    chosen = ensemble.choose(made, 5, log=lambda _line: None)
    assert chosen.objective == "val_roc_auc"

    def auc(probabilities: torch.Tensor) -> float:
        truth = made.data.y_val.numpy()
        return float(roc_auc_score(truth, probabilities.numpy(), multi_class="ovr", labels=[0, 1, 2]))

    mean = torch.zeros(len(made.data.x_val), 3, dtype=torch.float64)
    singles = []
    for one in chosen.members:
        found = one.network.predict(made.batches.x_val)[0, :, :3].double().softmax(1)
        mean += one.count / 5 * found
        singles.append(auc(found))
    assert chosen.value == pytest.approx(auc(mean), abs=1e-6)
    assert chosen.best_value == pytest.approx(max(singles), abs=1e-6)
    assert chosen.value >= chosen.best_value - 1e-9, "the first choice is the best network or better"
