"""An ONNX file predicts, in onnxruntime, what plain PyTorch computes from the model file."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from search.errors import EnvironmentFault, RequestError
from search.export import onnx_file
from search.train.activations import ACTIVATIONS
from search.train.model_file import Model
from search.train.model_meta import Meta
from search.train.model_parts import Member

SCALING = {"inputs.shift": torch.tensor([1.0, -2.0, 300.0]), "inputs.scale": torch.tensor([0.5, 4.0, 80.0])}
TARGETS = {"targets.shift": torch.tensor([10.0, -3.0]), "targets.scale": torch.tensor([2.5, 0.1])}
ROWS = (
    torch.randn(40, 3, generator=torch.Generator().manual_seed(1)) * SCALING["inputs.scale"] + SCALING["inputs.shift"]
)


def network(widths: tuple[int, ...], activation: str, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        modules += [nn.Linear(inputs, outputs), ACTIVATIONS[activation].module()]
    return nn.Sequential(*modules[:-1])


def single(task: str, activation: str, widths: tuple[int, ...] = (3, 6, 5, 2)) -> tuple[Model, Tensor]:
    """A model, and what it predicts by plain PyTorch."""
    plain = network(widths, activation, 0)
    tensors = {**plain.state_dict(), **SCALING, **(TARGETS if task == "regression" else {})}
    classes = ("no", "yes") if task == "classification" else ()
    meta = Meta(widths=widths, activation=activation, task=task, classes=classes, dataset="d", study="s", trial=3)  # type: ignore[arg-type]
    with torch.no_grad():
        outputs = plain((ROWS - SCALING["inputs.shift"]) / SCALING["inputs.scale"])
    if task == "regression":
        return Model(meta, tensors), outputs * TARGETS["targets.scale"] + TARGETS["targets.shift"]
    return Model(meta, tensors), outputs.softmax(1)


def ensemble(task: str) -> tuple[Model, Tensor]:
    """An ensemble of two networks with weights 3/4 and 1/4."""
    parts = [network((3, 6, 2), "gelu", 1), network((3, 2), "tanh", 2)]
    described = (
        Member(widths=(3, 6, 2), activation="gelu", count=3),
        Member(widths=(3, 2), activation="tanh", count=1),
    )
    tensors = {**SCALING, **(TARGETS if task == "regression" else {})}
    for number, part in enumerate(parts):
        tensors |= {f"members.{number}.{name}": tensor for name, tensor in part.state_dict().items()}
    meta = Meta(format=2, widths=(3, 2), activation="", task=task, dataset="d", study="s", members=described)  # type: ignore[arg-type]
    with torch.no_grad():
        first, second = (part((ROWS - SCALING["inputs.shift"]) / SCALING["inputs.scale"]) for part in parts)
    if task == "classification":
        return Model(meta, tensors), 0.75 * first.softmax(1) + 0.25 * second.softmax(1)
    mean = 0.75 * first + 0.25 * second
    return Model(meta, tensors), mean * TARGETS["targets.scale"] + TARGETS["targets.shift"]


CASES = [
    *[single("classification", activation) for activation in ACTIVATIONS],
    *[single("regression", activation) for activation in ACTIVATIONS],
    single("regression", "relu", (3, 2)),
    ensemble("classification"),
    ensemble("regression"),
]


@pytest.mark.parametrize(("model", "expected"), CASES)
def test_onnxruntime_predicts_what_torch_does(model: Model, expected: Tensor, tmp_path: Path) -> None:
    onnx_file.save(tmp_path / "model.onnx", model)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(None, {"rows": ROWS.numpy()})
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-5)
    (one,) = session.run(None, {"rows": ROWS[:1].numpy()})
    np.testing.assert_allclose(one, expected[:1].numpy(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.predict(ROWS), expected, rtol=1e-5, atol=1e-5)
    assert session.get_outputs()[0].name == ("values" if model.meta.task == "regression" else "probabilities")
    texts = session.get_modelmeta().custom_metadata_map
    assert json.loads(texts["classes"]) == list(model.meta.classes)
    assert onnx_file.described(tmp_path / "model.onnx") == model.meta


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    model, _ = ensemble("regression")
    for name in ("one.onnx", "other.onnx"):
        onnx_file.save(tmp_path / name, model)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_another_file_is_no_model(tmp_path: Path) -> None:
    for content in (b"", b"weights", b"\x80\x04"):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(RequestError, match="is not an ONNX file of regsearch"):
            onnx_file.described(tmp_path / "model.onnx")


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EnvironmentFault, match=r"needs the library onnx, .* pip install 'regsearch\[onnx\]'"):
        onnx_file.validate_installed()
