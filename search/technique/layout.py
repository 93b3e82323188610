"""The place of each parameter of a slot in the pack's flat buffers.

A pack keeps its weights in one tensor ``slots x size``, and likewise its gradients and its optimiser state. So an
update, a penalty, a compaction or a checkpoint is one operation for the whole pack. Widths are padded to multiples of
16 floats (64 bytes), the numbers of a vector register, so that kernels compute whole vectors only. Padding holds zeros
and stays zero: its inputs are zero, hence also its gradients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

ALIGNMENT = 16
MOST_BRANCHES = 64
"""The most branches of a layer: a mistaken number, as in a damaged file, is refused and not waited for."""
FREQUENCY, PHASE = "frequency", "phase"
"""The names of the vectors of waves, ``features * waves``."""


def padded(width: int) -> int:
    """Return the width rounded up to a multiple of 16."""
    return -(-width // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Field:
    """One parameter: its true shape, its stored (padded) shape, its offset in a slot's row, and its branch, from 0."""

    name: str
    shape: tuple[int, ...]
    stored: tuple[int, ...]
    offset: int
    branch: int = 0

    @property
    def size(self) -> int:
        """The count of stored numbers, padding included."""
        return math.prod(self.stored)

    @property
    def layer(self) -> int:
        """The index of its layer, from 0: a linear layer and everything up to the next one."""
        return int(self.name.partition(".")[0])

    @property
    def kind(self) -> str:
        """``weight`` or ``bias`` of a linear layer, or a technique's own parameter, such as ``batch_norm.weight``.

        Where several networks share the weight, ``input_scale`` and ``output_scale`` are their factors (`Layout`).
        """
        return self.name.rpartition(".")[2] if self.branch else self.name.partition(".")[2]

    @property
    def inner(self) -> tuple[slice, ...]:
        """The index, after the slots dimension, that cuts the true parameter out of the stored one."""
        return (slice(None), *(slice(0, width) for width in self.shape))


@dataclass(frozen=True)
class Layout:
    """The fields of a multilayer perceptron: for each layer a weight ``inputs x outputs`` and a bias ``outputs``.

    A hidden layer may have several branches, which take the same inputs and have a weight and a bias each. They are the
    linear maps of the layer. Linear maps are numbered: first comes that of every layer, or of its first branch, so that
    it has the layer's number, and then the further branches.

    Several networks may share the weights. Then each linear map has a bias ``members x outputs``, and the factors of
    each network on what enters and on what leaves it, ``members x inputs`` and ``members x outputs``.

    Args:
        widths: the widths of the first layer's inputs, each hidden layer and the output.
        vectors: the parameters of techniques after hidden layers, as (layer from 0, technique, name); each has the
            length of its layer's width. Layer -1 is the features, and layer -2 their waves.
        branches: the number of branches of each hidden layer; () where each has one.
        members: the number of networks that share the weights.
        waves: the number of waves of each feature, which are inputs of the first layer too (`Technique.waves`).
    """

    widths: tuple[int, ...]
    vectors: tuple[tuple[int, str, str], ...] = ()
    branches: tuple[int, ...] = ()
    members: int = 1
    waves: int = 0

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"a network needs at least an input and an output width, all >= 1; got {self.widths}")
        if self.branches and len(self.branches) != len(self.widths) - 2:
            raise ValueError(f"branches should be given for each hidden layer of {self.widths}; got {self.branches}")
        if self.members < 1:
            raise ValueError(f"the number of networks that share the weights must be >= 1, got {self.members}")

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        fields: list[Field] = []

        def add(name: str, shape: tuple[int, ...], stored: tuple[int, ...], branch: int = 0) -> None:
            offset = fields[-1].offset + fields[-1].size if fields else 0
            fields.append(Field(name, shape, stored, offset, branch))

        def start(layer: int, branch: int) -> str:
            # The draws of initial weights have these names: a layer's first branch starts as the layer would alone.
            return f"{layer}.branches.{branch}" if branch else f"{layer}"

        count = () if self.members == 1 else (self.members,)
        for layer, branch in self.linears:
            inputs, outputs = self.widths[layer : layer + 2]
            add(f"{start(layer, branch)}.weight", (inputs, outputs), (padded(inputs), padded(outputs)), branch)
            add(f"{start(layer, branch)}.bias", (*count, outputs), (*count, padded(outputs)), branch)
        for layer, technique, name in self.vectors:
            width = {-1: self.features, -2: self.features * self.waves}.get(layer) or self.widths[layer + 1]
            add(f"{layer}.{technique}.{name}", (width,), (padded(width),))
        for layer, branch in self.linears if count else ():
            inputs, outputs = self.widths[layer : layer + 2]
            add(f"{start(layer, branch)}.input_scale", (*count, inputs), (*count, padded(inputs)), branch)
            add(f"{start(layer, branch)}.output_scale", (*count, outputs), (*count, padded(outputs)), branch)
        return tuple(fields)

    @property
    def features(self) -> int:
        """The number of features that enter the network: the width of the inputs, without waves."""
        return self.widths[0] // (1 + self.waves)

    @property
    def layers(self) -> int:
        return len(self.widths) - 1

    @cached_property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """The layer and the branch of each linear map, both from 0."""
        further = ((layer, branch) for layer, count in enumerate(self.branches) for branch in range(1, count))
        return (*((layer, 0) for layer in range(self.layers)), *further)

    def linears_of(self, layer: int) -> list[int]:
        """Return the numbers of a layer's linear maps, one for each branch."""
        return [number for number, (at, _) in enumerate(self.linears) if at == layer]

    @cached_property
    def size(self) -> int:
        """The count of numbers stored for one slot, padding included."""
        return self.fields[-1].offset + self.fields[-1].size

    @cached_property
    def trainable(self) -> int:
        """The count of one slot's parameters, without padding."""
        return sum(math.prod(field.shape) for field in self.fields)

    def view(self, buffer: Tensor, field: Field) -> Tensor:
        """Return a view of a field in a buffer ``slots x size``, ``slots x stored shape``."""
        return buffer[:, field.offset : field.offset + field.size].view(len(buffer), *field.stored)

    def weight(self, number: int) -> Field:
        """Return the weight of a linear map."""
        return self.fields[2 * number]

    def bias(self, number: int) -> Field:
        """Return the bias of a linear map."""
        return self.fields[2 * number + 1]

    def vector(self, layer: int, technique: str, name: str) -> Field:
        """Return the field of a technique's own parameter after a hidden layer (from 0), or as in `vectors`."""
        return self.fields[2 * len(self.linears) + self.vectors.index((layer, technique, name))]

    def scales(self, number: int) -> tuple[Field, Field]:
        """Return the fields of each network's factors on what enters a linear map and on what leaves it."""
        first = 2 * len(self.linears) + len(self.vectors) + 2 * number
        return self.fields[first], self.fields[first + 1]

    def unpack(self, row: Tensor) -> dict[str, Tensor]:
        """Return one slot's row ``(size,)`` named and shaped as by `torch.nn.Sequential`: weights ``outputs x inputs``.

        The modules of a layer are Linear, the activation, and one for each technique that has parameters there, such
        as BatchNorm1d: ``0.weight``, ``0.bias``, ``2.weight`` ... Those of the features and their waves come first. The
        Linear of a layer with branches is a module with a list of them: ``2.branches.0.weight``.
        """
        modules: dict[tuple[int, str], int] = {}
        at = 0
        for layer in (-1, -2, *range(self.layers)):
            if layer >= 0:
                modules[layer, ""] = at
                at += 2
            for technique in dict.fromkeys(owner for where, owner, _ in self.vectors if where == layer):
                modules[layer, technique] = at
                at += 1
        state = {}
        for field in self.fields:
            owner, _, name = field.kind.rpartition(".")
            value = self.view(row[None], field)[field.inner][0]
            module, mine = str(modules[field.layer, owner]), self.linears_of(field.layer) if not owner else []
            if len(mine) > 1:
                module += f".branches.{field.branch}"
            state[f"{module}.{name}"] = (value.T if field.kind == "weight" else value).clone()
        return state
