"""A model as an ONNX graph, which takes rows as they are in the data and returns probabilities or values.

    rows -> Sub, Div ... (scaling) -> Gemm, activation, ..., Gemm -> Softmax            -> probabilities
                                                                  -> Mul, Add (scaling) -> values

An ensemble is the sum of its networks' outputs times their weights. The model's description is in the graph's metadata
under "regsearch", and the names of the classes, a JSON list in the order of the probabilities, under "classes".

Source: the operators of ONNX, https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from search.errors import EnvironmentFault, RequestError
from search.export.onnx_graph import Graph
from search.export.onnx_scaling import scaled
from search.storage.files import write_whole
from search.train.activations import SLOPE
from search.train.model_file import Model
from search.train.model_meta import Meta
from search.train.plain_network import PlainNetwork

_OPSET, _IR = 17, 8  # of 2022, which older runtimes read too
_DESCRIPTION = "regsearch"
INPUT = "rows"


def validate_installed() -> None:
    """Raise EnvironmentFault if the library onnx is missing."""
    _onnx()


def save(path: Path, model: Model) -> None:
    """Write a model as an ONNX file, whole or not at all.

    Raises:
        EnvironmentFault: the library onnx is missing, or the file cannot be written.
    """
    write_whole(path, graph(model).SerializeToString(deterministic=True))


def described(path: Path) -> Meta:
    """Return the description of the model in an ONNX file.

    Raises:
        RequestError: the file is not one that `save` has written.
    """
    try:
        loaded = _onnx().load(path, load_external_data=False)
        texts = {entry.key: entry.value for entry in loaded.metadata_props}
        fields = json.loads(texts[_DESCRIPTION])
    except Exception:  # protobuf, OSError, KeyError, ValueError: in any case it holds something else
        raise RequestError("it is not an ONNX file of regsearch") from None
    return Meta.parse(fields, "its description")


def graph(model: Model) -> Any:
    """Return the model as an `onnx.ModelProto`."""
    onnx = _onnx()
    built = Graph(onnx.helper, onnx.numpy_helper, onnx.TensorProto)
    meta, targets = model.meta, model.targets
    x = scaled(built, INPUT, model.inputs)
    outputs = []
    for number, network in enumerate(model.networks):
        out = _network(built, network, x, f"members.{number}." if meta.members else "")
        out = out if targets is not None else built.add("Softmax", out, axis=1)
        if meta.members:
            out = built.add("Mul", out, built.constant(f"members.{number}.share", np.float32(network.weight)))
        outputs.append(out)
    out = built.add("Sum", *outputs) if meta.members else outputs[0]
    if targets is not None:
        out = built.add("Mul", out, built.constant("targets.scale", targets.scale))
        out = built.add("Add", out, built.constant("targets.shift", targets.shift))
    name = "probabilities" if targets is None else "values"
    built.nodes[-1].output[0] = name
    helper, kind = onnx.helper, built.float
    inputs = [helper.make_tensor_value_info(INPUT, kind, ["batch", meta.features])]
    results = [helper.make_tensor_value_info(name, kind, ["batch", meta.widths[-1]])]
    made = helper.make_model(
        helper.make_graph(built.nodes, "regsearch", inputs, results, built.constants),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="regsearch",
        producer_version=meta.version,
        doc_string=meta.title,
    )
    helper.set_model_props(made, {_DESCRIPTION: meta.stored(), "classes": json.dumps(meta.classes)})
    onnx.checker.check_model(made, full_check=True)
    return made


def _network(built: Graph, network: PlainNetwork, x: str, prefix: str) -> str:
    """Add a network's layers, and return the name of its outputs."""
    if network.waves is not None:
        width = network.layers[0][0][0].shape[1]
        x = built.add("Concat", x, _waves(built, network.waves, width, x, prefix), axis=1)
    for number, branches in enumerate(network.layers):
        each = []
        for start, (weight, bias) in zip(network.names(number), branches, strict=True):
            named = [(f"{prefix}{start}.weight", weight), (f"{prefix}{start}.bias", bias)]
            h = built.add("Gemm", x, *(built.constant(name, tensor) for name, tensor in named), transB=1)
            each.append(_activation(built, network.activation, h) if number < len(network.layers) - 1 else h)
        h = built.add("Mean", *each) if len(each) > 1 else each[0]
        if number + 1 in network.maps:
            factor, shift = network.maps[number + 1]
            h = built.add("Mul", h, built.constant(f"{prefix}{2 * number + 1}.factor", factor))
            h = built.add("Add", h, built.constant(f"{prefix}{2 * number + 1}.shift", shift))
        x = built.add("Add", h, x) if number + 1 in network.residual else h
    return x


def _waves(built: Graph, waves: tuple[Tensor, Tensor], width: int, x: str, prefix: str) -> str:
    """Add the waves of a network's inputs, of which there are `width` together with the waves."""
    frequency, phase = waves
    features = width - len(frequency)
    source = np.repeat(np.arange(features, dtype=np.int64), len(frequency) // features)
    turns = built.add("Gather", x, built.constant(f"{prefix}0.source", source), axis=1)
    turns = built.add("Mul", turns, built.constant(f"{prefix}0.frequency", frequency))
    turns = built.add("Add", turns, built.constant(f"{prefix}0.phase", phase))
    return built.add("Cos", built.add("Mul", turns, built.constant("turn", np.float32(2 * math.pi))))


def _activation(built: Graph, activation: str, x: str) -> str:
    match activation:
        case "relu":
            return built.add("Relu", x)
        case "leaky_relu":
            return built.add("LeakyRelu", x, alpha=SLOPE)
        case "tanh":
            return built.add("Tanh", x)
        case "gelu":
            # z * (1 + erf(z / sqrt 2)) / 2: the operator Gelu is younger than the operators used here.
            erf = built.add("Erf", built.add("Mul", x, built.constant("gelu.root", np.float32(math.sqrt(0.5)))))
            half = built.add("Mul", x, built.constant("gelu.half", np.float32(0.5)))
            return built.add("Mul", half, built.add("Add", erf, built.constant("gelu.one", np.float32(1.0))))
    raise NotImplementedError(activation)


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise EnvironmentFault(
            f"the format onnx needs the library onnx, which cannot be imported ({error}): pip install 'regsearch[onnx]'"
        ) from None
