"""A trained network in one safetensors file, which holds numbers and no code (contract C9, docs/design.md).

Tensors are named and shaped as in a `torch.nn.Sequential` of Linear and activation: ``0.weight`` (outputs x inputs),
``0.bias``, ``2.weight`` ... The file also holds ``inputs.shift`` and ``inputs.scale``, which turn a raw row into the
network's inputs, ``(raw - shift) / scale``. For regression it holds ``targets.shift`` and ``targets.scale``, which turn
the network's output into values in the user's units, ``output * scale + shift``. A raw row of a table is the numbers,
ones and zeros that `Meta.columns` makes of the table's columns. Everything else is JSON under "regsearch" in the header
of the file (`Meta`).

    weights = safetensors.torch.load_file("model.safetensors")
    network = nn.Sequential(nn.Linear(64, 128), nn.LeakyReLU(), nn.Linear(128, 10))
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from search.data import Feature, Scaling
from search.errors import EnvironmentFault, RequestError, clip
from search.storage.fields import Part

FORMAT: Literal[1] = 1
_HEADER = "regsearch"
# The first bytes of what torch.save and pickle write.
_PICKLES = (b"PK\x03\x04", b"\x80")


class Meta(Part):
    """The description of the network in a model file."""

    format: Literal[1] = FORMAT
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        min_length=2, description="the widths of inputs, hidden layers and outputs"
    )
    activation: str = Field(description="the activation after every layer but the last")
    task: Literal["classification", "regression"]
    classes: tuple[str, ...] = Field(default=(), description="the names of the classes, in the order of the outputs")
    dataset: str
    columns: tuple[Feature, ...] = Field(
        default=(), description="for a table, the source of each raw input (`search.data.Feature`)"
    )
    pixel_max: float | None = Field(default=None, description="the largest raw value of a pixel, if rows are images")
    study: str = Field(default="", description="the study that trained the network")
    trial: int | None = None
    val_loss: float | None = None
    version: str = Field(default="", description="the version of regsearch")

    @model_validator(mode="after")
    def _each_input_is_described(self) -> Meta:
        if len(self.columns) not in (0, self.widths[0]):
            raise ValueError(f"columns should describe {self.widths[0]} inputs, got {len(self.columns)}")
        return self


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network.

    Attributes:
        meta: the description of the network.
        tensors: the tensors by name, float32 on the CPU.
    """

    meta: Meta
    tensors: Mapping[str, Tensor]

    def layer(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the weight ``outputs x inputs`` and the bias ``(outputs,)`` of a layer, from 0."""
        return self.tensors[f"{2 * number}.weight"], self.tensors[f"{2 * number}.bias"]

    @property
    def inputs(self) -> Scaling:
        """The scaling of raw rows to the network's inputs."""
        return Scaling(self.tensors["inputs.shift"], self.tensors["inputs.scale"])

    @property
    def targets(self) -> Scaling | None:
        """The scaling from the user's units to the network's outputs; None in classification."""
        if self.meta.task == "classification":
            return None
        return Scaling(self.tensors["targets.shift"], self.tensors["targets.scale"])

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of the file's description and tensors."""
        # Older files have no columns. Their digests must stay what they were, so an empty field is left out.
        absent = set() if self.meta.columns else {"columns"}
        digest = hashlib.sha256(self.meta.model_dump_json(exclude=absent).encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"|{name}:{tuple(tensor.shape)}|".encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]


def save(path: Path | str, model: Model) -> None:
    """Write a model file, whole or not at all.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    from safetensors.torch import save as serialised

    tensors = {name: tensor.contiguous() for name, tensor in model.tensors.items()}
    # Other readers of safetensors require "format".
    content = serialised(tensors, {"format": "pt", _HEADER: model.meta.model_dump_json()})
    partial = Path(f"{path}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentFault(f"cannot write {clip(str(path), 200)}: {error.strerror}") from None


def load(path: Path | str) -> Model:
    """Read a model file.

    Raises:
        RequestError: the file is missing or not a model file. The message does not name the file; the caller does.
    """
    from safetensors import SafetensorError, safe_open

    # `os.path.isfile` is False for a name that no file system allows, where `Path.is_file` raises. A pipe, which might
    # never end, is refused too.
    if not os.path.isfile(path):
        raise RequestError("it is a folder, not a model file" if os.path.isdir(path) else "there is no such file")
    try:
        with open(path, "rb") as file:
            start = file.read(9)
        # A safetensors file begins with a length of 8 bytes, which may have any value, and a JSON object.
        if start.startswith(_PICKLES) and start[8:] != b"{":
            raise RequestError("it is a pickle, which could run code when it is read: give a .safetensors file")
        with safe_open(path, framework="pt") as content:
            meta = _meta(content.metadata() or {})
            names = set(content.keys())
            expected = dict(_shapes(meta))
            for name, shape in expected.items():
                stored = tuple(content.get_slice(name).get_shape()) if name in names else None
                if stored != shape:
                    raise RequestError(
                        f"its tensor {name} should be {_shape_text(shape)}, but is {_shape_text(stored)}"
                    )
            if extra := names - expected.keys():
                raise RequestError(f"it has a tensor {clip(min(extra))!r}, which is not part of format {FORMAT}")
            tensors = {name: content.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise RequestError(f"it is not a complete safetensors file ({clip(str(error))})") from None
    except OSError as error:
        raise RequestError(f"it cannot be read: {error.strerror or error}") from None
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not tensor.isfinite().all():
            raise RequestError(f"its tensor {name} should hold finite float32 numbers")
        if name.endswith(".scale") and not tensor.all():
            raise RequestError(f"its tensor {name} contains 0, by which inputs cannot be divided")
    return Model(meta, tensors)


def _meta(header: Mapping[str, str]) -> Meta:
    if _HEADER not in header:
        raise RequestError("it is not a model file of regsearch: it does not describe the network's shape and scaling")
    try:
        fields: Any = json.loads(header[_HEADER])
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise RequestError("its description of the network is damaged: it is not a JSON object")
    if fields.get("format") != FORMAT:
        raise RequestError(f"it has format {clip(str(fields.get('format')))}; this version of regsearch reads {FORMAT}")
    return Meta.parse(fields, "its description")


def _shapes(meta: Meta) -> Iterator[tuple[str, tuple[int, ...]]]:
    for layer, (inputs, outputs) in enumerate(pairwise(meta.widths)):
        yield f"{2 * layer}.weight", (outputs, inputs)
        yield f"{2 * layer}.bias", (outputs,)
    scaled = {"inputs": meta.widths[0]}
    if meta.task == "regression":
        scaled["targets"] = meta.widths[-1]
    for name, width in scaled.items():
        yield f"{name}.shift", (width,)
        yield f"{name}.scale", (width,)


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))
