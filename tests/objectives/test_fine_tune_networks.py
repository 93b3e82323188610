"""Fine-tuning starts as its source predicts, skip connections and all; a source that could not is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from search import RequestError, Study
from search.train.model_file import Model, save
from search.train.model_meta import Meta
from search.train.model_parts import Member
from search.train.pack import Pack, Slot
from search.train.plain_network import linear_names

WIDTHS = (13, 16, 16, 3)
CLASSES = ("class_0", "class_1", "class_2")


def source(folder: Path, residual: tuple[int, ...] = (), factor: float = 1.0, branches: tuple[int, ...] = ()) -> Model:
    """Write a model of random weights, and return it."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {"inputs.shift": torch.zeros(13), "inputs.scale": torch.ones(13)}
    for layer, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        for name in linear_names(layer, branches):
            tensors[f"{name}.weight"] = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
            tensors[f"{name}.bias"] = torch.randn(outputs, generator=generator) / 10
    for number in (1, 2) if residual else ():
        tensors[f"{2 * number - 1}.factor"] = torch.full((16,), factor)
        tensors[f"{2 * number - 1}.shift"] = torch.zeros(16)
    meta = Meta(
        widths=WIDTHS,
        activation="leaky_relu",
        task="classification",
        classes=CLASSES,
        dataset="wine",
        residual=residual,
        branches=branches,
    )
    model = Model(meta, tensors)
    save(folder / "model.safetensors", model)
    return model


def study(folder: Path, recipe: str = "fine_tune", **values: Any) -> Study:
    fixed = {"source": str(folder / "model.safetensors"), "hidden": "16x16", "kept": 3, "frozen": 0, **values}
    return Study(recipe, dataset="wine", tracking_uri=None, device="cpu", set=fixed | {"layer_lr_ratio": 0.5})


@pytest.mark.parametrize(
    ("residual", "branches", "recipe", "on"),
    [
        ((), (), "fine_tune", {}),
        ((2,), (), "skip+fine_tune", {"skip": True}),
        ((2,), (1, 2), "shake_shake+fine_tune", {"skip": True, "shake_shake": True}),
    ],
)
def test_it_starts_as_the_source_predicts(
    residual: tuple[int, ...], branches: tuple[int, ...], recipe: str, on: dict[str, bool], tmp_path: Path
) -> None:
    model = source(tmp_path, residual, branches=branches)
    made = study(tmp_path, recipe, **on)
    assert made.data.classes == CLASSES
    values = made.space.complete({"lr": 1e-3})
    assert values is not None
    pack = Pack(made.program(values), made.batches, [Slot(0, 0, made.numeric(values))])
    predicted = pack.predict(made.batches.x_val)[0, :, :3].softmax(1)
    torch.testing.assert_close(predicted, model.outputs(made.data.x_val), rtol=1e-5, atol=1e-6)


def test_skip_connections_are_those_of_the_source(tmp_path: Path) -> None:
    source(tmp_path, (2,))
    with pytest.raises(RequestError, match=r"has skip connections, so the study needs them: add technique 'skip'"):
        study(tmp_path)
    assert study(tmp_path, kept=1).techniques  # the first layer has none
    source(tmp_path)
    with pytest.raises(RequestError, match=r"has no skip connections, so the study cannot have them"):
        study(tmp_path, "skip+fine_tune", skip=True)
    source(tmp_path, (2,), factor=2.0)
    with pytest.raises(RequestError, match=r"scales what its skip connections join, as batch_norm does"):
        study(tmp_path, "skip+fine_tune", skip=True)


def test_branches_are_those_of_the_source(tmp_path: Path) -> None:
    source(tmp_path, (2,), branches=(1, 2))
    with pytest.raises(RequestError, match=r"has branches, so the study needs the same: add technique 'shake_shake'"):
        study(tmp_path, "skip+fine_tune", skip=True)
    source(tmp_path, (2,))
    both = {"skip": True, "shake_shake": True}
    with pytest.raises(RequestError, match=r"has no branches, so the study needs the same: give shake_shake=false"):
        study(tmp_path, "shake_shake+fine_tune", **both)
    made = study(tmp_path, "shake_shake+fine_tune", **both, kept=1)  # no kept layer has branches
    values = made.space.complete({"lr": 1e-3})
    assert values is not None
    assert made.program(values).layout.branches == (1, 2)
    assert Pack(made.program(values), made.batches, [Slot(0, 0, made.numeric(values))]).state["theta"].isfinite().all()


def test_networks_that_predict_together_are_no_source(tmp_path: Path) -> None:
    alone = source(tmp_path)
    tensors = {name: tensor for name, tensor in alone.tensors.items() if name.startswith("inputs")}
    for number in range(2):
        tensors |= {
            f"members.{number}.{name}": tensor.clone() for name, tensor in alone.tensors.items() if name[0].isdigit()
        }
    members = tuple(Member(widths=WIDTHS, activation="leaky_relu", count=1) for _ in range(2))
    parts = {"format": 2, "widths": (13, 3), "activation": "", "members": members}
    for trial, says in ((None, "holds an ensemble"), (4, "holds 2 networks of one trial")):
        together = Model(alone.meta.model_copy(update={**parts, "trial": trial}), tensors)
        save(tmp_path / "model.safetensors", together)
        with pytest.raises(RequestError, match=f"{says}, of which no one can be trained on"):
            study(tmp_path)
