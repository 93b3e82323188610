"""A saved model can be loaded again, also in plain torch; any file that is not a complete model file is refused."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from search.errors import EnvironmentFault, RequestError
from search.train.model_file import Model, load, save
from search.train.model_meta import Meta

THRESHOLD = {"value": 0.3, "metric": "val_f1", "rows": 9, "score": 0.8, "score_at_half": 0.7, "second": 4}


def model(**meta: Any) -> Model:
    generator = torch.Generator().manual_seed(0)
    shapes = {"0.weight": (4, 3), "0.bias": (4,), "2.weight": (2, 4), "2.bias": (2,), "inputs.shift": (3,)}
    tensors = {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}
    usual = {
        "widths": (3, 4, 2),
        "activation": "relu",
        "task": "classification",
        "classes": ("cat", "dog"),
        "dataset": "pets",
    }
    return Model(Meta(**{**usual, **meta}), tensors | {"inputs.scale": torch.ones(3)})


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path, saved = tmp_path / "model.safetensors", model(pixel_max=16.0, trial=3, val_loss=0.1)
    # The tensors are views of larger ones, like transposed weights.
    saved = replace(saved, tensors=dict(saved.tensors) | {"0.weight": torch.arange(12.0).view(3, 4).T})
    save(path, saved)
    found = load(path)
    assert found.meta == saved.meta
    assert found.tensors.keys() == saved.tensors.keys()
    assert all(torch.equal(found.tensors[name], tensor) for name, tensor in saved.tensors.items())
    assert found.digest == saved.digest
    weight, bias = found.layer(1)
    assert torch.equal(weight, saved.tensors["2.weight"])
    assert torch.equal(bias, saved.tensors["2.bias"])
    assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_header_may_have_any_length(tmp_path: Path) -> None:
    """A safetensors file begins with the length of its header, whose first byte may be 0x80, as in a pickle."""
    starts = set()
    for length in range(300):
        save(tmp_path / "model", model(study="x" * length))
        starts.add((tmp_path / "model").read_bytes()[0])
        assert load(tmp_path / "model").meta.study == "x" * length
    assert 0x80 in starts


def test_the_digest_is_of_the_whole_content() -> None:
    same, other = model(), model()
    assert same.digest == other.digest
    other.tensors["2.bias"][1] += 1e-6
    digests = {same.digest, other.digest, model(activation="tanh").digest, model(classes=("dog", "cat")).digest}
    assert len(digests) == 4


def header(**change: Any) -> Callable[[Path], None]:
    """Return a writer of `model`'s file with other fields in its header."""

    def write(path: Path) -> None:
        fields = json.loads(model().meta.model_dump_json()) | change
        save_file(dict(model().tensors), path, {"regsearch": json.dumps(fields)})

    return write


def tensors(**change: Tensor | None) -> Callable[[Path], None]:
    """Return a writer of `model`'s file with other tensors; None leaves one out, and `_` stands for a dot."""

    def write(path: Path) -> None:
        changed = dict(model().tensors) | {name.replace("_", "."): tensor for name, tensor in change.items()}
        kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
        save_file(kept, path, {"regsearch": model().meta.model_dump_json()})

    return write


def whole() -> bytes:
    from safetensors.torch import save as serialised

    return serialised(dict(model().tensors), {"regsearch": model().meta.model_dump_json()})


class Trap:
    """Creates a folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("unpickled",)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda _path: None, "there is no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.touch(), "is not a complete safetensors file"),
        (lambda path: path.write_text("weights, weights, weights"), "is not a complete safetensors file"),
        (lambda path: path.write_bytes(whole()[:-1]), "is not a complete safetensors file"),
        (lambda path: path.write_bytes(whole()[:50]), "is not a complete safetensors file"),
        (lambda path: path.write_bytes(pickle.dumps(Trap())), "is a pickle, which could run code"),
        (lambda path: torch.save(Trap(), path), "is a pickle, which could run code"),
        (lambda path: torch.save({}, path, _use_new_zipfile_serialization=False), "is a pickle, which could run code"),
        (lambda path: save_file({"a": torch.zeros(2)}, path), "is not a model file of regsearch"),
        (lambda path: save_file({}, path, {"regsearch": "{"}), "its description of the network is damaged"),
        (lambda path: save_file({}, path, {"regsearch": "[" * 10**5}), "its description of the network is damaged"),
        (header(format=3), "has format 3; this version of regsearch reads 1 and 2"),
        (header(format=2), r"its description: members should be of an ensemble, format 2, got 0 in 2"),
        (header(threshold={"value": 1.5}), "threshold.value: input should be less than 1, got 1.5"),
        (
            header(widths=(3, 4, 2), classes=("a", "b", "c"), threshold=THRESHOLD),
            "threshold should be of two classes, got 3",
        ),
        (header(format=None), "has format None; this version"),
        (header(widths=[3]), "its description: widths"),
        (header(widths=[3, 4, 10**12]), r"its tensor 2.weight should be 1000000000000 x 4, but is 2 x 4"),
        (header(task="dancing"), "unknown task 'dancing'"),
        (header(task="regression"), "its tensor targets.shift should be 2, but is missing"),
        (header(columns=[{"column": "a"}]), "its description: columns should describe 3 inputs, got 1"),
        (header(columns=[{"column": 3}] * 3), r"its description: columns.0.column: input should be a valid string"),
        (header(colour="red"), "unknown field 'colour'"),
        (tensors(**{"2_weight": None}), "its tensor 2.weight should be 2 x 4, but is missing"),
        (tensors(**{"2_weight": torch.zeros(4, 2)}), "its tensor 2.weight should be 2 x 4, but is 4 x 2"),
        (tensors(**{"4_bias": torch.zeros(2)}), "it has a tensor '4.bias', which is not part of format 1"),
        (tensors(**{"0_bias": torch.tensor([0.0, 1.0, float("nan"), 2.0])}), "its tensor 0.bias should hold finite"),
        (tensors(**{"0_bias": torch.zeros(4, dtype=torch.float64)}), "its tensor 0.bias should hold finite float32"),
        (tensors(inputs_scale=torch.tensor([1.0, 0.0, 1.0])), "its tensor inputs.scale contains 0"),
    ],
)
def test_a_file_that_is_not_a_model_file_is_refused(
    write: Callable[[Path], Any], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "model")
    with pytest.raises(RequestError, match=told) as error:
        load(tmp_path / "model")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "unpickled").exists()


def test_names_that_no_file_system_allows_are_refused() -> None:
    for name in ("", "\0", "x" * 10_000):
        with pytest.raises(RequestError, match="there is no such file"):
            load(name)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(EnvironmentFault, match=r"cannot write .*nowhere"):
        save(tmp_path / "nowhere" / "model", model())
    with pytest.raises(EnvironmentFault, match=r"cannot write .*folder"):
        save(tmp_path / "folder", model())
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_file_from_before_ensembles_is_what_it_was(tmp_path: Path) -> None:
    """The file was written by the code before format 2; fine-tuned studies name it by its digest."""
    old = load(Path(__file__).with_name("made-before-ensembles.safetensors"))
    assert old.digest == "826a306516bab4c3"
    assert (old.meta.study, old.meta.trial, old.meta.val_loss) == ("pets", 3, 0.25)
    expected = model()
    assert all(torch.equal(old.tensors[name], tensor) for name, tensor in expected.tensors.items())
    save(tmp_path / "again", old)
    fields = json.loads(old.meta.stored())
    assert not {"members", "calibration", "refit_epochs"} & fields.keys(), "older versions refuse unknown fields"
    assert load(tmp_path / "again").digest == old.digest
