"""A network whose inputs are encoded predicts the same from every form in which it leaves the study."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from search.data import PiecewiseLinear
from search.data.scaling import SCALES, fit
from search.errors import RequestError
from search.export import onnx_file
from search.export.loading import loading_code, plain_network
from search.train.model_file import Model, load, save
from search.train.model_meta import Meta
from search.train.model_parts import EncodedInputs, Member, NonlinearInputs

pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
EDGES = [[-1.0, -0.2, 0.3, 1.5], [0.0, 0.5, 0.6], [0.0, 1.0]]


def by_hand(x: Tensor) -> Tensor:
    """Encode scaled features in the bins of `EDGES`; the last feature stays as it is."""
    first, second, third = x.unbind(1)
    return torch.stack(
        [
            ((first + 1) / 0.8).clamp(max=1),
            ((first + 0.2) / 0.5).clamp(0, 1),
            ((first - 0.3) / 1.2).clamp(min=0),
            (second / 0.5).clamp(max=1),
            ((second - 0.5) / 0.1).clamp(min=0),
            third,
        ],
        1,
    )


def table() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    train = np.stack([rng.normal(size=400), rng.exponential(3.0, 400), rng.integers(0, 2, 400)], 1)
    rows = np.concatenate([train[:50], train[:50] * 1.3 - 0.1, [[1e3] * 3, [-1e3] * 3]])
    return torch.from_numpy(train).float(), torch.from_numpy(rows).float()


def model_of(scale: str, *, members: bool) -> tuple[Model, list[nn.Sequential]]:
    """A network, or an ensemble of two with weights 3/4 and 1/4."""
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2)) for _ in range(1 + members)]
    encoding = PiecewiseLinear.of([torch.tensor(one) for one in EDGES])
    scaling = replace(fit(scale, table()[0]), encoding=encoding)
    tensors = {f"inputs.{name}": tensor for name, tensor in scaling.tensors.items()}
    fields: dict[str, Any] = {"task": "classification", "classes": ("no", "yes"), "dataset": "d", "study": "s"}
    fields["nonlinear"] = None if scaling.nonlinear is None else NonlinearInputs.describe(scaling.nonlinear)
    fields["encoded"] = EncodedInputs.describe(encoding)
    if not members:
        return Model(Meta(widths=(6, 5, 2), activation="tanh", **fields), tensors | networks[0].state_dict()), networks
    for number, network in enumerate(networks):
        tensors |= {f"members.{number}.{name}": tensor for name, tensor in network.state_dict().items()}
    described = tuple(Member(widths=(6, 5, 2), activation="tanh", count=count) for count in (3, 1))
    return Model(Meta(format=2, widths=(6, 2), activation="", members=described, **fields), tensors), networks


@pytest.mark.parametrize("members", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_every_form_of_a_model_predicts_what_torch_does(scale: str, members: bool) -> None:
    train, rows = table()
    model, networks = model_of(scale, members=members)
    shares = (0.75, 0.25) if members else (1.0,)
    with torch.no_grad():
        x = by_hand(fit(scale, train).apply(rows))
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


@pytest.mark.slow
def test_the_graph_that_mlflow_traces_takes_any_number_of_rows() -> None:
    _, rows = table()
    plain = plain_network(model_of("robust", members=True)[0])
    traced = torch.export.export(plain, (rows[:8],), dynamic_shapes=({0: torch.export.Dim("batch", min=2)},)).module()
    torch.testing.assert_close(traced(rows), plain(rows))


def test_damaged_edges_are_refused() -> None:
    model, _ = model_of("standard", members=False)
    edges = model.tensors["inputs.edges"]
    for damaged, says in (
        (edges.flip(1), "tensor inputs.edges should hold edges that do not decrease"),
        (
            torch.ones_like(edges),
            "tensor inputs.edges should hold edges that do not decrease, at least two different ones",
        ),
        (edges.log(), "tensor inputs.edges should hold finite float32 numbers"),
        (edges[:, 1:], "tensor inputs.edges should be 3 x 4, but is 3 x 3"),
        (torch.arange(12.0).view(3, 4), "tensor inputs.edges should hold the edges of 6 bins, but has 9"),
    ):
        save("model.safetensors", replace(model, tensors={**model.tensors, "inputs.edges": damaged}))
        with pytest.raises(RequestError, match=says):
            load("model.safetensors")
