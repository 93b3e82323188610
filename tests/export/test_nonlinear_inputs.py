"""A network whose inputs have a nonlinear scaling predicts the same from every form in which it leaves the study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer, RobustScaler
from support.small_studies import Quiet, small
from torch import Tensor, nn
from torch.nn import functional as F

import search
from search import Study
from search.data.scaling import FOR_NUMBERS, fit
from search.errors import RequestError
from search.export import onnx_file
from search.export.loading import loading_code, plain_network
from search.train.model_file import Model, load, save
from search.train.model_meta import Meta
from search.train.model_parts import Member, NonlinearInputs

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def table() -> tuple[Tensor, Tensor]:
    """Training rows with a normal, a skewed and a tied column, and new rows between, at and beyond their ends."""
    rng = np.random.default_rng(1)
    train = np.stack([rng.normal(size=400), rng.exponential(1e4, 400), rng.integers(0, 6, 400)], axis=1)
    rows = np.concatenate([train[:50], train[:50] * 1.1, [[1e30] * 3, [-1e30] * 3], [train.min(0)], [train.max(0)]])
    return torch.from_numpy(train).float(), torch.from_numpy(rows).float()


def by_sklearn(scale: str, train: Tensor, rows: Tensor) -> Tensor:
    if scale == "quantile":
        transformer = QuantileTransformer(n_quantiles=13, subsample=None, output_distribution="normal")
        return torch.from_numpy(transformer.fit(train.double().numpy()).transform(rows.double().numpy())).float()
    x = RobustScaler().fit(train.double().numpy()).transform(rows.double().numpy())
    return torch.from_numpy(x / np.sqrt(1 + (x / 3) ** 2)).float()


def model_of(scale: str, train: Tensor, *, members: bool) -> tuple[Model, list[nn.Sequential]]:
    """A network, or an ensemble of two with weights 3/4 and 1/4, whose scaling is fitted on the training rows."""
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)) for _ in range(1 + members)]
    scaling = fit(scale, train)
    tensors = {f"inputs.{name}": tensor for name, tensor in scaling.tensors.items()}
    assert scaling.nonlinear is not None
    fields: dict[str, Any] = {"task": "classification", "classes": ("no", "yes"), "dataset": "d", "study": "s"}
    fields["nonlinear"] = NonlinearInputs.describe(scaling.nonlinear)
    if not members:
        tensors |= networks[0].state_dict()
        return Model(Meta(widths=(3, 5, 2), activation="tanh", **fields), tensors), networks
    for number, network in enumerate(networks):
        tensors |= {f"members.{number}.{name}": tensor for name, tensor in network.state_dict().items()}
    described = tuple(Member(widths=(3, 5, 2), activation="tanh", count=count) for count in (3, 1))
    return Model(Meta(format=2, widths=(3, 2), activation="", members=described, **fields), tensors), networks


@pytest.mark.parametrize("members", [False, True])
@pytest.mark.parametrize("scale", FOR_NUMBERS)
def test_every_form_of_a_model_predicts_what_sklearn_and_torch_do(scale: str, members: bool) -> None:
    train, rows = table()
    model, networks = model_of(scale, train, members=members)
    shares = (0.75, 0.25) if members else (1.0,)
    with torch.no_grad():
        x = by_sklearn(scale, train, rows)
        expected = torch.stack([share * one(x).softmax(1) for share, one in zip(shares, networks, strict=True)]).sum(0)
        torch.testing.assert_close(model.predict(rows), expected, rtol=1e-4, atol=1e-5)

        save("model.safetensors", model)
        assert load("model.safetensors").meta == model.meta
        torch.testing.assert_close(load("model.safetensors").predict(rows), expected, rtol=1e-4, atol=1e-5)

        space: dict[str, Any] = {"rows": rows}
        exec("\n".join(loading_code(model, "model.safetensors")), space)
        outputs = space["outputs"] if members else space["outputs"].softmax(1)
        torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-5)

        torch.testing.assert_close(plain_network(model)(rows).softmax(1), expected, rtol=1e-4, atol=1e-5)

    onnx_file.save(Path("model.onnx"), model)
    (found,) = onnxruntime.InferenceSession("model.onnx").run(None, {"rows": rows.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", FOR_NUMBERS)
def test_a_constant_input_stays_0_in_every_form(scale: str) -> None:
    train, rows = table()
    train[:, 1] = 7.0
    model, (network,) = model_of(scale, train, members=False)
    with torch.no_grad():
        x = by_sklearn(scale, train, rows)
        x[:, 1] = 0.0
        expected = network(x).softmax(1)
        save("model.safetensors", model)
        torch.testing.assert_close(load("model.safetensors").predict(rows), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(plain_network(model)(rows).softmax(1), expected, rtol=1e-4, atol=1e-5)
    onnx_file.save(Path("model.onnx"), model)
    (found,) = onnxruntime.InferenceSession("model.onnx").run(None, {"rows": rows.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scale", FOR_NUMBERS)
def test_the_graph_that_mlflow_traces_takes_any_number_of_rows(scale: str) -> None:
    train, rows = table()
    model, _ = model_of(scale, train, members=True)
    plain = plain_network(model)
    traced = torch.export.export(plain, (rows[:8],), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},)).module()
    torch.testing.assert_close(traced(rows), plain(rows))


def test_damaged_quantiles_are_refused() -> None:
    model, _ = model_of("quantile", table()[0], members=False)
    quantiles = model.tensors["inputs.quantiles"]
    for damaged, says in (
        (quantiles.flip(0), "tensor inputs.quantiles should hold quantiles that do not decrease"),
        (quantiles.log(), "tensor inputs.quantiles should hold finite float32 numbers"),
        (quantiles[1:], "tensor inputs.quantiles should be 13 x 3, but is 12 x 3"),
    ):
        save("model.safetensors", replace(model, tensors={**model.tensors, "inputs.quantiles": damaged}))
        with pytest.raises(RequestError, match=says):
            load("model.safetensors")


@pytest.mark.parametrize("scale", FOR_NUMBERS)
def test_an_exported_trial_predicts_what_the_study_measured(scale: str, tmp_path: Path) -> None:
    wine = search.data.load("wine", scale="none")
    study = small(tmp_path, data={"dataset": "wine", "scale": scale}, trials=2, ask_batch=2).run(
        observers=[Quiet()], decide=False
    )
    assert study.best is not None
    study.export("model.safetensors")
    probabilities = load("model.safetensors").predict(wine.x_val)
    assert F.nll_loss(probabilities.log(), wine.y_val).item() == pytest.approx(study.best.value, rel=1e-4)
    refitted = study.export("refit.safetensors", refit=True)
    assert refitted.model.inputs.equals(fit(scale, wine.x_train))
    assert study.replay(study.best.number).same


def people(rows: int = 240) -> pd.DataFrame:
    """A table with text, missing cells and a skewed column."""
    rng = np.random.default_rng(0)
    income = rng.exponential(1e4, rows)
    age = np.where(rng.random(rows) < 0.2, np.nan, rng.normal(40, 10, rows))
    town = rng.choice(["Bern", "Chur", None], rows)
    return pd.DataFrame({"income": income, "age": age, "town": town, "score": np.log(income) + (town == "Bern")})


def test_a_table_is_predicted_from_a_file_alone_and_compared_with_another_scaling(tmp_path: Path) -> None:
    frame = people()
    fields: dict[str, Any] = {"epochs": 3, "hidden": "8", "batch_size": 50}
    studies = [
        Study(
            "baseline", data=frame, target="score", scale=scale, set=fields, space={"lr": {"choices": [1e-3, 1e-2]}},
            trials=1, study_name=scale, storage=f"sqlite:///{tmp_path}/study.db", tracking_uri=None, device="cpu",
        ).run(observers=[Quiet()], decide=False)
        for scale in ("quantile", "robust")
    ]  # fmt: skip
    for study in studies:
        study.export(f"{study.name}.safetensors")
        from_file = search.load(f"{study.name}.safetensors").predict(frame, interval=0.9)
        pd.testing.assert_frame_equal(from_file, study.predict(frame, interval=0.9))
        assert np.isfinite(from_file.to_numpy()).all()
    # Neither scaling can be inverted exactly, and still the rows are known to be the same.
    assert search.compare_studies(*studies, replicates=2, log=print).pairs
