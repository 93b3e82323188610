"""The temperature minimises the loss, becomes part of the last layers, and its figures are those of other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import log_loss
from support.small_studies import Quiet, small

from search import RequestError
from search.export.calibrate import calibration_error, fit_temperature
from search.export.loading import plain_network
from search.train.model_file import load


def drawn(rows: int, sharpness: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are `sharpness` times those of the probabilities from which the labels are drawn."""
    generator = torch.Generator().manual_seed(3)
    logits = 2 * torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * sharpness, labels


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_is_found(sharpness: float) -> None:
    logits, labels = drawn(20_000, sharpness)
    found = fit_temperature([logits], [1.0], labels)
    assert found == pytest.approx(sharpness, rel=0.03)
    t = torch.tensor(found, dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(logits / t, labels)
    (slope,) = torch.autograd.grad(loss, t)
    assert abs(float(slope)) < 1e-5
    before, after = (calibration_error(z.softmax(1).numpy(), labels.numpy()) for z in (logits, logits / found))
    assert after < 0.02
    assert sharpness == 1.0 or after < before / 3


def test_one_temperature_is_found_for_several_networks() -> None:
    logits, labels = drawn(5_000, 2.0)
    parts, weights = [logits, logits.flip(1) / 3], [0.75, 0.25]

    def loss(t: float) -> float:
        return log_loss(labels, sum(w * (z / t).softmax(1) for w, z in zip(weights, parts, strict=True)).numpy())

    found = fit_temperature(parts, weights, labels)
    assert loss(found) <= min(loss(t) for t in np.geomspace(0.1, 10, 200)) + 1e-9


@pytest.mark.parametrize("rows", [7, 150, 1_003])
def test_the_calibration_error_is_that_of_pandas_bins(rows: int) -> None:
    logits, labels = drawn(rows, 2.0)
    probabilities = logits.softmax(1).numpy()
    frame = pd.DataFrame({"confidence": probabilities.max(1), "right": probabilities.argmax(1) == labels.numpy()})
    frame = frame.sort_values("confidence", ignore_index=True)
    # The first rows % 15 bins have one row more.
    sizes = [rows // 15 + (one < rows % 15) for one in range(15)]
    frame["bin"] = np.repeat(range(15), sizes)
    means = frame.groupby("bin").agg(n=("right", "size"), right=("right", "mean"), confidence=("confidence", "mean"))
    expected = ((means.right - means.confidence).abs() * means.n).sum() / rows
    assert calibration_error(probabilities, labels.numpy()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("ensemble", [None, 4])
def test_an_exported_network_is_calibrated(ensemble: int | None, tmp_path: Path) -> None:
    study = small(tmp_path, replicates=2).run(observers=[Quiet()], decide=False)
    plain = study.export(tmp_path / "plain.safetensors", ensemble=ensemble).model
    exported = study.export(tmp_path / "model.safetensors", ensemble=ensemble, calibrate=True)
    model = load(tmp_path / "model.safetensors")
    done = model.meta.calibration
    assert done is not None
    rows, labels = study.data.inputs.invert(study.data.x_val), study.data.y_val.numpy()
    with torch.no_grad():
        outputs = {name: plain_network(one)(rows).softmax(1) for name, one in (("before", plain), ("after", model))}
    losses = {
        name: log_loss(labels, one.double().numpy() / one.double().sum(1, keepdim=True).numpy())
        for name, one in outputs.items()
    }
    assert losses["before"] == pytest.approx(done.loss_before, rel=1e-4)
    assert losses["after"] == pytest.approx(done.loss, rel=1e-4)
    assert done.loss < done.loss_before
    assert model.meta.val_loss == done.loss
    assert done.error == pytest.approx(calibration_error(outputs["after"].double().numpy(), labels), abs=1e-4)
    if ensemble is None:
        weight, bias = plain.layer(1)
        torch.testing.assert_close(model.layer(1), (weight / done.temperature, bias / done.temperature))
        assert torch.equal(outputs["before"].argmax(1), outputs["after"].argmax(1))
    assert f"temperature {done.temperature:.4g}" in exported.notes[-1]
    assert f"{done.error_before:.4f} before, {done.error:.4f} after" in exported.notes[-1]


def test_a_regression_has_no_temperature(tmp_path: Path) -> None:
    study = small(tmp_path, data={"dataset": "diabetes"}, trials=1, ask_batch=1).run(observers=[Quiet()], decide=False)
    with pytest.raises(
        RequestError, match="calibrate fits the temperature of probabilities, but diabetes is a regress"
    ):
        study.export(tmp_path / "model.safetensors", calibrate=True)
