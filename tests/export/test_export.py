"""What is exported predicts what the study measured, without this package; by its printed lines, and from MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from optuna.trial import TrialState
from support.small_studies import SMALL, Quiet, small
from torch.nn import functional as F

from search import RequestError, Study, Technique, run
from search.export import __main__ as export
from search.recipe import Recipe
from search.study.retrain import Retraining, retrain
from search.train.model_file import load

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
# Nothing but torch and safetensors: importing the package is an error there.
ALONE = """
import sys
sys.modules["search"] = None
import numpy
{lines}
numpy.save("outputs.npy", outputs.detach().numpy())
"""


def raw(study: Study) -> torch.Tensor:
    """The validation rows as they are in the data."""
    return study.data.inputs.invert(study.data.x_val)


def by_the_printed_lines(study: Study, lines: list[str]) -> torch.Tensor:
    np.save("rows.npy", raw(study).numpy())
    code = "\n".join([lines[0], "import numpy; rows = torch.from_numpy(numpy.load('rows.npy'))", *lines[1:]])
    subprocess.run([sys.executable, "-c", ALONE.format(lines=code)], check=True)
    return torch.from_numpy(np.load("outputs.npy"))


def exported(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    capsys.readouterr()
    status = export.main([*words, "--storage", "sqlite:///study.db", "--device", "cpu", "--json"])
    out, err = capsys.readouterr()
    assert status == 0, err
    found: dict[str, object] = json.loads(out)
    return found


def test_the_printed_lines_predict_what_the_study_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small(tmp_path).run(observers=[Quiet()], decide=False)
    said = exported(capsys, "small-wine")
    assert study.best is not None
    assert (said["study"], said["trial"]) == ("small-wine", study.best.number)
    assert isinstance(said["lines"], list)
    assert len(said["lines"]) == 5
    logits = by_the_printed_lines(study, said["lines"])
    assert F.cross_entropy(logits, study.data.y_val).item() == pytest.approx(study.best.value, rel=1e-5)
    described = json.loads(Path("model.json").read_text())
    assert (described["study"], described["task"]) == ("small-wine", "classification")


def test_a_regression_predicts_in_the_users_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small(tmp_path, data={"dataset": "diabetes"}).run(observers=[Quiet()], decide=False)
    complete = study.optuna_study.get_trials(states=(TrialState.COMPLETE,))[-1]
    said = exported(capsys, "small-diabetes", "--output", "net.safetensors", "--trial", str(complete.number))
    assert isinstance(said["lines"], list)
    predicted = by_the_printed_lines(study, said["lines"])
    assert study.data.targets is not None
    truth = study.data.targets.invert(study.data.y_val)
    rmse = (predicted - truth).square().mean().sqrt().item()
    assert rmse == pytest.approx(complete.user_attrs["summary"]["best_val_rmse"], rel=1e-4)


def test_batch_normalisation_becomes_part_of_the_next_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fixed = {"epochs": 6, "hidden": "12x20", "batch_size": 50, "batch_norm": True, "bn_alpha": 0.3}
    study = small(tmp_path, techniques=["l2", "batch_norm"], set=fixed, trials=3).run(observers=[Quiet()], decide=False)
    assert study.best is not None
    said = exported(capsys, "small-wine")
    assert isinstance(said["lines"], list)
    logits = by_the_printed_lines(study, said["lines"])
    (kept,) = retrain([Retraining.of(study, 0, study.best.params, [0])], "again")
    torch.testing.assert_close(logits, kept.network.predict(study.batches.x_val)[0, :, :3], rtol=1e-5, atol=1e-5)
    assert F.cross_entropy(logits, study.data.y_val).item() == pytest.approx(study.best.value, rel=1e-5)
    # Three layers, the scaling of the inputs, and the scores of the validation rows.
    assert len(load("model.safetensors").tensors) == 6 + 2 + 1


def test_a_layer_that_is_not_affine_is_refused(tmp_path: Path) -> None:
    cubed = Technique(name="cubed", layer=lambda h, number, _values: h**3 if number else h)
    recipe = Recipe.parse({**SMALL, "trials": 1, "ask_batch": 1}, "test")
    study = Study(recipe, storage=f"sqlite:///{tmp_path}/study.db", tracking_uri=None, device="cpu", techniques=[cubed])
    study.run(observers=[Quiet()], decide=False)
    with pytest.raises(RequestError, match=r"trial 0 uses l2\+cubed, whose network is more than .* `affine`"):
        study.export(tmp_path / "model.safetensors")


def test_one_standard_error_takes_the_stronger_of_equals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A penalty too weak to be felt and one ten times that differ by less than replicates do; a strong one hurts."""
    space = {"l2": {"choices": [1e-9, 1e-8, 1.0]}}
    study = small(tmp_path, space=space, sampler="grid", replicates=4, pruner={"name": "none"}, ask_batch=3).run(
        observers=[Quiet()]
    )
    losses = {trial.params["l2"]: trial.value for trial in study.optuna_study.trials}
    assert losses[1.0] > losses[1e-8] * 1.05
    said = exported(capsys, "small-wine", "--one-se")
    assert study.optuna_study.trials[int(str(said["trial"]))].params["l2"] == 1e-8


def test_what_cannot_be_exported_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small(tmp_path).run(4, observers=[Quiet()], decide=False)
    for words, says in (
        (["--output", "model.pt"], "ends in .safetensors"),
        (["--output", "nowhere/model.safetensors"], "does not exist"),
        (["--trial", "99"], "has no trial 99"),
        (["--trial", "0", "--one-se"], "--trial 0 or --one-se, not both"),
        (["--register", "net", "--tracking-uri", "sqlite:///study.db"], "holds Optuna's studies"),
    ):
        capsys.readouterr()
        assert export.main(["small-wine", "--storage", "sqlite:///study.db", *words]) == 2
        out, err = capsys.readouterr()
        assert says in err
        assert out == ""
    assert not list(tmp_path.glob("model*"))


def test_another_trials_files_are_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = small(tmp_path, pruner={"name": "none"}).run(4, observers=[Quiet()], decide=False)
    words = ["small-wine", "--storage", "sqlite:///study.db", "--device", "cpu", "--trial"]
    assert export.main([*words, "0"]) == 0
    before = load("model.safetensors").digest
    capsys.readouterr()
    assert export.main([*words, "1"]) == 2
    told = capsys.readouterr().err
    assert "model.safetensors already exists and holds trial 0 of small-wine, not trial 1 of small-wine" in told
    assert "another --output, or overwrite it with --force" in told
    assert load("model.safetensors").digest == before
    assert export.main([*words, "0"]) == 0
    assert "model.safetensors already exists: overwriting it" in capsys.readouterr().err
    assert load("model.safetensors").digest == before
    Path("model.json").write_text('{"mine": 1}')
    assert export.main([*words, "0"]) == 2
    assert "model.json already exists and holds something else" in capsys.readouterr().err
    assert export.main([*words, "1", "--force"]) == 0
    assert json.loads(Path("model.json").read_text())["trial"] == 1
    study.export("model.safetensors", 0)  # from Python it is what was asked for
    assert json.loads(Path("model.json").read_text())["trial"] == 0


def test_a_description_that_cannot_be_written_is_an_error_of_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small(tmp_path, pruner={"name": "none"}).run(1, observers=[Quiet()], decide=False)
    Path("model.json").mkdir()
    capsys.readouterr()
    assert export.main(["small-wine", "--storage", "sqlite:///study.db", "--device", "cpu", "--force"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].endswith("cannot write model.json: Is a directory")
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.slow
def test_mlflow_serves_what_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["l2", "--dataset", "wine", "--trials", "2", "--epochs", "3", "--hidden", "8", "--device", "cpu"]
    assert run.main([*words, "--storage", "sqlite:///study.db"]) == 0
    study = Study(
        "l2", dataset="wine", storage="sqlite:///study.db", tracking_uri=None, set={"epochs": 3, "hidden": "8"}
    )
    said = exported(capsys, "l2-wine", "--register", "wine-net")
    assert said["registered"] == "models:/wine-net/1"
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    served = mlflow.pytorch.load_model("models:/wine-net/1")
    assert isinstance(said["lines"], list)
    torch.testing.assert_close(served(raw(study)), by_the_printed_lines(study, said["lines"]), rtol=1e-4, atol=1e-4)
    run_of = mlflow.MlflowClient().search_runs(["1"], f"tags.`regsearch.key` = 'l2-wine/{said['trial']}'")[0]
    assert run_of.info.status == "FINISHED"
    missing = ["l2-wine", "--storage", "sqlite:///study.db", "--register", "net", "--tracking-uri", "sqlite:///new.db"]
    assert export.main(missing) == 2
    assert "sync l2-wine" in capsys.readouterr().err
