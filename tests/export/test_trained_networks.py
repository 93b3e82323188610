"""Whatever techniques make of a network, a file predicts what the study measured: averages, blocks, several networks.

The files are used without the package: by the printed lines and by onnxruntime. The losses of their predictions are
those that the study has recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from support.small_studies import Crash, Quiet, outcome, small
from torch import Tensor
from torch.nn import functional as F

from search import Study
from search.export.loading import loading_code, plain_network
from search.study.retrain import Retraining, complete_values, retrain
from search.train import averages
from search.train.model_file import Model, load
from search.train.pack import Pack

FIXED: dict[str, Any] = {"epochs": 5, "hidden": "12x12x12", "batch_size": 50}


@dataclass(frozen=True)
class Kind:
    """Techniques with their values, the number of networks in a trial's file, and the data."""

    techniques: str
    values: dict[str, Any]
    networks: int = 1
    dataset: str = "breast-cancer"

    def study(self, folder: Path, **changes: Any) -> Study:
        data = {"dataset": self.dataset, **changes.pop("data", {})}
        given = {"trials": 2, "ask_batch": 2, "pruner": {"name": "none"}, "set": FIXED | self.values} | changes
        space = {"lr": {"low": 1e-3, "high": 1e-2, "log": True}}
        return small(folder, techniques=self.techniques.split("+"), data=data, space=space, **given)


SKIP, SNAPSHOTS = {"skip": True}, {"snapshot": 3}
KINDS = [
    Kind("swa+batch_norm", {"swa_start": 0.4}),
    Kind("ema+skip", {"ema": 0.6, **SKIP}),
    Kind("lookahead", {}),
    Kind("sam", {"sam": 0.05}),
    Kind("adversarial", {"adversarial": 0.05}),
    Kind("skip+batch_norm", SKIP),
    Kind("skip+shake_drop", {**SKIP, "shake_drop": 0.3}),
    Kind("skip+shake_shake", {**SKIP, "shake_shake": True}),
    Kind("skip+shake_shake+batch_norm+ema", {**SKIP, "shake_shake": True, "ema": 0.6}, dataset="diabetes"),
    Kind("feature_gate", {}, dataset="diabetes"),
    Kind("snapshot", SNAPSHOTS, 3),
    Kind("snapshot+skip", {**SNAPSHOTS, **SKIP}, 3, "diabetes"),
    Kind("weight_sharing", {"members": 3}, 3),
    Kind("swa+weight_sharing+skip+batch_norm+feature_gate", {"swa_start": 0.4, "members": 3, **SKIP}, 3),
    Kind("numeric_embedding", {"bins": 6}),
    Kind("periodic_embedding", {"waves": 4, "wave_sigma": 0.5}),
    Kind("feature_gate+periodic_embedding+snapshot", {"waves": 4, "wave_sigma": 0.5, **SNAPSHOTS}, 3, "diabetes"),
    Kind("numeric_embedding+periodic_embedding+skip", {"bins": 3, "waves": 4, "wave_sigma": 0.1, **SKIP}),
    Kind("periodic_embedding+weight_sharing", {"waves": 4, "wave_sigma": 0.5, "members": 3}, 3),
    Kind("periodic_embedding+skip+shake_shake", {"waves": 4, "wave_sigma": 0.5, **SKIP, "shake_shake": True}),
    Kind("numeric_embedding+snapshot+skip+feature_gate", {"bins": 6, **SNAPSHOTS, **SKIP}, 3, "diabetes"),
    Kind("swa+snapshot+skip+batch_norm+feature_gate", {"swa_start": 0.4, **SNAPSHOTS, **SKIP}, 3),
]


@pytest.fixture(scope="module", params=KINDS, ids=[kind.techniques for kind in KINDS])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Kind, Study]:
    """A kind, and a study of it that has trained two trials."""
    kind: Kind = request.param
    study = kind.study(tmp_path_factory.mktemp("study"))
    study.run(observers=[Quiet()], decide=False)
    return kind, study


def by_the_printed_lines(study: Study, model: Model, file: Path) -> Tensor:
    """Predict the validation rows as they are in the data: probabilities, or values in the units of the data."""
    known: dict[str, Any] = {"rows": study.data.inputs.invert(study.data.x_val)}
    with torch.no_grad():
        exec("\n".join(loading_code(model, str(file))), known)
    outputs: Tensor = known["outputs"]
    logits = study.data.task == "classification" and not model.meta.members
    return outputs.softmax(1) if logits else outputs


def loss_of(study: Study, predicted: Tensor) -> float:
    """Return the loss of predictions for the validation rows."""
    if study.data.targets is None:
        return F.nll_loss(predicted.log(), study.data.y_val).item()
    return F.mse_loss(study.data.targets.apply(predicted), study.data.y_val).item()


def test_a_file_predicts_what_the_study_measured(trained: tuple[Kind, Study], tmp_path: Path) -> None:
    kind, study = trained
    best = study.best
    assert best is not None
    file = tmp_path / "model.safetensors"
    exported = study.export(file)
    model = load(file)
    assert len(model.networks) == kind.networks
    assert (model.meta.trial, model.meta.val_loss) == (best.number, pytest.approx(best.value))
    assert any("3 networks predict together" in note for note in exported.notes) == (kind.networks == 3)
    predicted = by_the_printed_lines(study, model, file)
    assert loss_of(study, predicted) == pytest.approx(best.value, rel=1e-4)
    (kept,) = retrain([Retraining.of(study, best.number, best.params, [0])], "again")
    outputs = kept.network.predict(kept.network.batches.x_val)[0, :, : study.data.outputs]
    of_pack = outputs.softmax(1) if study.data.targets is None else study.data.targets.invert(outputs)
    close: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4 * of_pack.abs().max().item()}
    torch.testing.assert_close(predicted, of_pack, **close)
    raw = study.data.inputs.invert(study.data.x_val)
    with torch.no_grad():
        plain = plain_network(model)(raw)
    torch.testing.assert_close(plain.softmax(1) if study.data.targets is None else plain, of_pack, **close)
    study.export(tmp_path / "model.onnx")
    (graph,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, {"rows": raw.numpy()})
    torch.testing.assert_close(torch.from_numpy(graph), of_pack, **close)


def test_an_ensemble_of_trials_has_the_loss_that_it_says(trained: tuple[Kind, Study], tmp_path: Path) -> None:
    kind, study = trained
    file = tmp_path / "model.safetensors"
    study.export(file, ensemble=3)
    model = load(file)
    assert len(model.networks) % kind.networks == 0
    assert sum(network.weight for network in model.networks) == pytest.approx(1)
    assert loss_of(study, by_the_printed_lines(study, model, file)) == pytest.approx(model.meta.val_loss, rel=1e-4)
    study.export(file, ensemble=3, refit=True)
    refitted = load(file)
    assert len(refitted.networks) == len(model.networks)
    assert by_the_printed_lines(study, refitted, file).isfinite().all()


def test_probabilities_are_calibrated_and_decided(trained: tuple[Kind, Study], tmp_path: Path) -> None:
    _, study = trained
    if study.data.task == "regression":
        pytest.skip("there are no probabilities")
    file = tmp_path / "model.safetensors"
    study.export(file, calibrate=True, threshold="val_accuracy")
    model = load(file)
    done, decision = model.meta.calibration, model.meta.threshold
    assert done is not None
    assert decision is not None
    predicted = by_the_printed_lines(study, model, file)
    assert loss_of(study, predicted) == pytest.approx(done.loss, rel=1e-4)
    assert done.loss <= done.loss_before
    right = (predicted[:, 1] > decision.value).long() == study.data.y_val
    assert right.double().mean().item() == pytest.approx(decision.score)


def test_a_replay_has_the_same_bits(trained: tuple[Kind, Study]) -> None:
    _, study = trained
    assert study.best is not None
    assert "the same to the bit" in str(study.replay(study.best.number))


def test_a_network_that_is_refitted_has_trained_on_both_parts(trained: tuple[Kind, Study], tmp_path: Path) -> None:
    _, study = trained
    study.export(tmp_path / "model.safetensors", refit=True)
    model = load(tmp_path / "model.safetensors")
    curves = study.curves()
    of_best = curves[curves.trial == model.meta.trial]
    assert model.meta.refit_epochs == of_best.epoch[of_best.val_loss.idxmin()]
    assert model.meta.val_loss is None


SOME = [kind for kind in KINDS if kind.techniques in ("swa+batch_norm", "snapshot", "skip+shake_shake", "sam")]


@pytest.mark.parametrize("kind", SOME, ids=[kind.techniques for kind in SOME])
def test_a_study_that_dies_goes_on_from_its_checkpoint(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    changes: dict[str, Any] = {"pruner": {"name": "halving", "reduction_factor": 2, "min_epochs": 2}, "trials": 4}
    whole = kind.study(tmp_path, storage="whole.db", **changes).run(observers=[Quiet()])
    with pytest.raises(Crash):
        kind.study(tmp_path, storage="dies.db", checkpoint=True, **changes).run(observers=[Quiet(fail_after_epochs=6)])
    epochs = Quiet()
    again = kind.study(tmp_path, storage="dies.db", checkpoint=True, **changes).run(observers=[epochs])
    assert outcome(again) == outcome(whole)
    assert epochs.epochs < 4 * FIXED["epochs"]


def test_of_a_cross_validation_the_first_folds_networks_are_exported(tmp_path: Path) -> None:
    kind = KINDS[-1]
    study = kind.study(tmp_path, data={"folds": 3}).run(observers=[Quiet()], decide=False)
    file = tmp_path / "model.safetensors"
    for ensemble in (None, 2):
        study.export(file, ensemble=ensemble)
        model = load(file)
        assert loss_of(study, by_the_printed_lines(study, model, file)) == pytest.approx(model.meta.val_loss, rel=1e-4)


def test_monte_carlo_passes_are_those_of_each_network(tmp_path: Path) -> None:
    """A pass through a snapshot ensemble is the mean of the probabilities of its networks, with the same noise."""
    noise = {"shake_drop": 0.6, "shake_shake": True}
    kind = Kind("snapshot+skip+shake_drop+shake_shake", {**SNAPSHOTS, **SKIP, **noise})
    study = kind.study(tmp_path).run(observers=[Quiet()], decide=False)
    assert study.best is not None
    assert study.uncertainty(passes=3).networks
    (kept,) = retrain([Retraining.of(study, study.best.number, study.best.params, [0])], "again")
    x, pack = study.batches.x_val, kept.network
    values = complete_values(study, study.best.number, study.best.params)
    parts = []
    for state in averages.evaluated(pack.program, pack.state):
        one = Pack(study.program({**values, "snapshot": 0}), study.batches, pack.slots)
        one.state = {name: value for name, value in state.items() if not name.startswith(averages.KEY)}
        one.epoch = pack.epoch
        parts.append(one.predict(x, 7)[0, :, :2].softmax(1))
    together = pack.predict(x, 7)[0, :, :2].softmax(1)
    torch.testing.assert_close(together, torch.stack(parts).mean(0))
    assert not torch.allclose(together, pack.predict(x, 8)[0, :, :2].softmax(1))
