"""A trained network in one safetensors file, which holds numbers and no code (contract C9, docs/design.md).

Tensors are named and shaped as in a `torch.nn.Sequential` of Linear and activation: ``0.weight`` (outputs x inputs),
``0.bias``, ``2.weight`` ... Where what entered a hidden layer is added to its activations (`Meta.residual`), its
activations and those of the layer before are multiplied by ``1.factor`` and get ``1.shift`` added first, if it is the
first layer. Where a hidden layer has several branches (`Meta.branches`), its activations are the mean of theirs. The
tensors of each branch are ``2.branches.0.weight``, ``2.branches.0.bias``, ``2.branches.1.weight`` ... Where inputs have
waves (`Meta.waves`), ``cos(2 pi (frequency x + phase))`` by ``0.frequency`` and ``0.phase`` enters the first layer
after the inputs x, each of which is repeated for its waves.

The file also holds ``inputs.shift`` and ``inputs.scale``, which turn a raw row into the network's inputs, ``(raw -
shift) / scale``. The map that `Meta.nonlinear` names then follows (`search.data.nonlinear`); normal scores have
``inputs.quantiles`` (quantiles x features). With an encoding (`Meta.encoded`, `search.data.piecewise`), each feature
then becomes a number for each of its bins, whose edges are ``inputs.edges`` (features x edges). For regression the file
holds ``targets.shift`` and ``targets.scale``, which turn the network's output into the user's units, ``output * scale +
shift``. A raw row of a table is the numbers, ones and zeros that `Meta.columns` lists, and that `Meta.preprocessor`
makes of the table's columns. Everything else is JSON under "regsearch" in the header of the file (`Meta`).

A file of an ensemble (format 2) holds several networks. The tensors of network k, from 0, begin with ``members.k.``,
and `Meta.members` describes it. The prediction is the weighted mean of the probabilities, or of the values.

``validation.scores`` holds the errors for the validation rows, for prediction intervals (`search.predict.conformal`).

    weights = safetensors.torch.load_file("model.safetensors")
    network = nn.Sequential(nn.Linear(64, 128), nn.LeakyReLU(), nn.Linear(128, 10))
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from search.data import Scaling
from search.errors import RequestError, clip
from search.storage.files import write_whole
from search.train.model_meta import FORMATS, Meta
from search.train.model_parts import shape_text, validate_numbers
from search.train.model_tensors import parts, shapes
from search.train.plain_network import PlainNetwork, linear_names

_HEADER = "regsearch"
# The first bytes of what torch.save and pickle write.
_PICKLES = (b"PK\x03\x04", b"\x80")


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network, or an ensemble of several.

    Attributes:
        meta: the description of the network.
        tensors: the tensors by name, float32 on the CPU.
    """

    meta: Meta
    tensors: Mapping[str, Tensor]

    def layer(self, number: int, branch: int = 0) -> tuple[Tensor, Tensor]:
        """Return the weight ``outputs x inputs`` and the bias ``(outputs,)`` of a single network's layer, from 0.

        Of a layer with several branches, they are those of one branch, from 0.
        """
        start = linear_names(number, self.meta.branches)[branch]
        return self.tensors[f"{start}.weight"], self.tensors[f"{start}.bias"]

    @property
    def networks(self) -> list[PlainNetwork]:
        """The networks with their weights, which sum to 1; a single one has weight 1."""
        total = sum(member.count for member in self.meta.members)
        return [
            PlainNetwork.of(
                self.tensors,
                one.widths,
                one.activation,
                one.residual,
                one.branches,
                one.count / total if total else 1.0,
                prefix,
            )
            for prefix, one in parts(self.meta)
        ]

    @property
    def last_layers(self) -> list[str]:
        """The names of the weight and the bias of each network's last layer."""
        ends = [(prefix, 2 * len(one.widths) - 4) for prefix, one in parts(self.meta)]
        return [f"{prefix}{last}.{kind}" for prefix, last in ends for kind in ("weight", "bias")]

    def predict(self, raw: Tensor) -> Tensor:
        """Return probabilities ``rows x classes``, or values in the user's units ``rows x outputs``.

        Args:
            raw: the inputs as they are in the data, ``rows x features``; a table's as `Meta.columns` says.
        """
        return self.outputs(self.inputs.apply(raw))

    @torch.no_grad()
    def outputs(self, x: Tensor) -> Tensor:
        """Return what `predict` does, of scaled inputs ``rows x features``, in their precision."""
        targets = self.targets
        mean = torch.zeros(len(x), self.meta.widths[-1], dtype=torch.float64)
        for network in self.networks:
            outputs = network.forward(x).double()
            mean += network.weight * (outputs.softmax(1) if targets is None else outputs)
        return mean.to(x.dtype) if targets is None else targets.invert(mean.to(x.dtype))

    @property
    def inputs(self) -> Scaling:
        """The scaling of raw rows to the network's inputs."""
        meta, tensors = self.meta, self.tensors
        nonlinear = None if meta.nonlinear is None else meta.nonlinear.of(tensors)
        encoding = None if meta.encoded is None else meta.encoded.of(tensors, meta.entering)
        return Scaling(tensors["inputs.shift"], tensors["inputs.scale"], nonlinear, encoding)

    @property
    def targets(self) -> Scaling | None:
        """The scaling from the user's units to the network's outputs; None in classification."""
        if self.meta.task == "classification":
            return None
        return Scaling(self.tensors["targets.shift"], self.tensors["targets.scale"])

    @property
    def digest(self) -> str:
        """The first 16 hex digits of the SHA-256 of the file's description and tensors."""
        digest = hashlib.sha256(self.meta.stored().encode())
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
    write_whole(Path(path), serialised(tensors, {"format": "pt", _HEADER: model.meta.stored()}))


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
            expected = dict(shapes(meta))
            for name, shape in expected.items():
                stored = tuple(content.get_slice(name).get_shape()) if name in names else None
                if stored != shape:
                    raise RequestError(f"its tensor {name} should be {shape_text(shape)}, but is {shape_text(stored)}")
            if extra := names - expected.keys():
                raise RequestError(f"it has a tensor {clip(min(extra))!r}, which is not part of format {meta.format}")
            tensors = {name: content.get_tensor(name) for name in expected}
    except SafetensorError as error:
        raise RequestError(f"it is not a complete safetensors file ({clip(str(error))})") from None
    except OSError as error:
        raise RequestError(f"it cannot be read: {error.strerror or error}") from None
    for name, tensor in tensors.items():
        validate_numbers(name, tensor, meta.nonlinear)
    if meta.encoded is not None:
        meta.encoded.of(tensors, meta.entering)
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
    if fields.get("format") not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise RequestError(f"it has format {clip(str(fields.get('format')))}; this version of regsearch reads {known}")
    return Meta.parse(fields, "its description")
