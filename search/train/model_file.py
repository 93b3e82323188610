"""A trained network in one file: safetensors, which hold numbers and no code (contract C9).

Tensors are named and shaped as in `torch.nn.Sequential` of Linear and activation: ``0.weight`` (outputs x inputs),
``0.bias``, ``2.weight`` ...; besides, ``inputs.shift`` and ``inputs.scale``, which make of a raw row what the network
takes, ``(raw - shift) / scale``, and for regression ``targets.shift`` and ``targets.scale``, which make of its output
values in the user's units, ``output * scale + shift``. Of a table, the raw row is what `Meta.columns` makes of its
columns: numbers, or 1 and 0. What the tensors do not say is JSON under "regsearch" in the file's own header: `Meta`.

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
    """What a model file says beside its tensors."""

    format: Literal[1] = FORMAT
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=2, description="of inputs, layers and outputs")
    activation: str = Field(description="after every layer but the last")
    task: Literal["classification", "regression"]
    classes: tuple[str, ...] = Field(default=(), description="their names, in the order of the outputs")
    dataset: str
    columns: tuple[Feature, ...] = Field(
        default=(), description="of a table: what each raw input is made of, see `search.data.Feature`"
    )
    pixel_max: float | None = Field(default=None, description="the largest raw value of a pixel, where rows are images")
    study: str = Field(default="", description="that trained it")
    trial: int | None = None
    val_loss: float | None = None
    version: str = Field(default="", description="of regsearch")

    @model_validator(mode="after")
    def _each_input_is_described(self) -> Meta:
        if len(self.columns) not in (0, self.widths[0]):
            raise ValueError(f"columns should describe {self.widths[0]} inputs, got {len(self.columns)}")
        return self


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network.

    Attributes:
        tensors: by name, float32 on the CPU.
    """

    meta: Meta
    tensors: Mapping[str, Tensor]

    def layer(self, number: int) -> tuple[Tensor, Tensor]:
        """The weight ``outputs x inputs`` and the bias of a layer, from 0."""
        return self.tensors[f"{2 * number}.weight"], self.tensors[f"{2 * number}.bias"]

    @property
    def inputs(self) -> Scaling:
        """From raw rows to the network's inputs."""
        return Scaling(self.tensors["inputs.shift"], self.tensors["inputs.scale"])

    @property
    def targets(self) -> Scaling | None:
        """From the user's units to the network's outputs; None for classes."""
        if self.meta.task == "classification":
            return None
        return Scaling(self.tensors["targets.shift"], self.tensors["targets.scale"])

    @property
    def digest(self) -> str:
        """16 hex digits of the SHA-256 of all that the file holds."""
        # Without what older files do not have, where it says nothing: theirs must stay what they were.
        absent = set() if self.meta.columns else {"columns"}
        digest = hashlib.sha256(self.meta.model_dump_json(exclude=absent).encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"|{name}:{tuple(tensor.shape)}|".encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]


def save(path: Path | str, model: Model) -> None:
    """Write a model file, whole or not at all.

    Raises:
        EnvironmentFault: it cannot be written there.
    """
    from safetensors.torch import save as serialised

    tensors = {name: tensor.contiguous() for name, tensor in model.tensors.items()}
    # "format" is what other readers of safetensors ask for.
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
        RequestError: what is wrong with it; the message does not name the file, which is the asker's to do.
    """
    from safetensors import SafetensorError, safe_open

    # Unlike `Path.is_file` false, no error, for a name that no file system allows. A pipe might never come to an end.
    if not os.path.isfile(path):
        raise RequestError("is a folder, no model file" if os.path.isdir(path) else "there is no such file")
    try:
        with open(path, "rb") as file:
            start = file.read(9)
        # Safetensors begin with a length of 8 bytes, which may look like anything, and an object in JSON.
        if start.startswith(_PICKLES) and start[8:] != b"{":
            raise RequestError("is a pickle, which could run code when it is read: takes a .safetensors file")
        with safe_open(path, framework="pt") as content:
            meta = _meta(content.metadata() or {})
            names = set(content.keys())
            expected = dict(_shapes(meta))
            for name, shape in expected.items():
                found = tuple(content.get_slice(name).get_shape()) if name in names else None
                if found != shape:
                    raise RequestError(f"its tensor {name} should be {_sized(shape)}, is {_sized(found)}")
            if extra := names - expected.keys():
                raise RequestError(f"it has a tensor {clip(min(extra))!r}, which is not part of format {FORMAT}")
            tensors = {name: content.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise RequestError(f"is not a whole safetensors file ({clip(str(error))})") from None
    except OSError as error:
        raise RequestError(f"cannot be read: {error.strerror or error}") from None
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32 or not tensor.isfinite().all():
            raise RequestError(f"its tensor {name} should hold finite float32 numbers")
        if name.endswith(".scale") and not tensor.all():
            raise RequestError(f"its tensor {name} is 0 in places: nothing can be divided by it")
    return Model(meta, tensors)


def _meta(header: Mapping[str, str]) -> Meta:
    if _HEADER not in header:
        raise RequestError("is not a model that regsearch wrote: it says nothing of the network's shape and scaling")
    try:
        fields: Any = json.loads(header[_HEADER])
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise RequestError("its description of the network is damaged: it is not a JSON object")
    if fields.get("format") != FORMAT:
        raise RequestError(f"has format {clip(str(fields.get('format')))}; this version of regsearch reads {FORMAT}")
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


def _sized(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape))
