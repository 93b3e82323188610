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
from itertools import pairwise

from torch import Tensor

ALIGNMENT = 16


def padded(width: int) -> int:
    """Return the width rounded up to a multiple of 16."""
    return -(-width // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Field:
    """One parameter: its true shape, its stored (padded) shape, and its offset in a slot's row."""

    name: str
    shape: tuple[int, ...]
    stored: tuple[int, ...]
    offset: int

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
        """``weight`` or ``bias`` of the linear layer, or a technique's own parameter, such as ``batch_norm.weight``.

        Where several networks share the weight, ``input_scale`` and ``output_scale`` are their factors (`Layout`).
        """
        return self.name.partition(".")[2]

    @property
    def inner(self) -> tuple[slice, ...]:
        """The index, after the slots dimension, that cuts the true parameter out of the stored one."""
        return (slice(None), *(slice(0, width) for width in self.shape))


@dataclass(frozen=True)
class Layout:
    """The fields of a multilayer perceptron: for each layer a weight ``inputs x outputs`` and a bias ``outputs``.

    Several networks may share the weights. Then each layer has a bias ``members x outputs``, and the factors of each
    network on what enters and on what leaves the layer, ``members x inputs`` and ``members x outputs``.

    Args:
        widths: the widths of the input, each hidden layer and the output.
        vectors: the parameters of techniques after hidden layers, as (layer from 0, technique, name); each has the
            length of its layer's width. Layer -1 is the inputs.
        members: the number of networks that share the weights.
    """

    widths: tuple[int, ...]
    vectors: tuple[tuple[int, str, str], ...] = ()
    members: int = 1

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"a network needs at least an input and an output width, all >= 1; got {self.widths}")
        if self.members < 1:
            raise ValueError(f"the number of networks that share the weights must be >= 1, got {self.members}")

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        fields: list[Field] = []

        def add(name: str, shape: tuple[int, ...], stored: tuple[int, ...]) -> None:
            fields.append(Field(name, shape, stored, fields[-1].offset + fields[-1].size if fields else 0))

        count = () if self.members == 1 else (self.members,)
        for layer, (inputs, outputs) in enumerate(pairwise(self.widths)):
            add(f"{layer}.weight", (inputs, outputs), (padded(inputs), padded(outputs)))
            add(f"{layer}.bias", (*count, outputs), (*count, padded(outputs)))
        for layer, technique, name in self.vectors:
            width = self.widths[layer + 1]
            add(f"{layer}.{technique}.{name}", (width,), (padded(width),))
        for layer, (inputs, outputs) in enumerate(pairwise(self.widths)) if count else ():
            add(f"{layer}.input_scale", (*count, inputs), (*count, padded(inputs)))
            add(f"{layer}.output_scale", (*count, outputs), (*count, padded(outputs)))
        return tuple(fields)

    @property
    def layers(self) -> int:
        return len(self.widths) - 1

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

    def weight(self, layer: int) -> Field:
        return self.fields[2 * layer]

    def bias(self, layer: int) -> Field:
        return self.fields[2 * layer + 1]

    def vector(self, layer: int, technique: str, name: str) -> Field:
        """Return the field of a technique's own parameter after a hidden layer (from 0), or of the inputs (-1)."""
        return self.fields[2 * self.layers + self.vectors.index((layer, technique, name))]

    def scales(self, layer: int) -> tuple[Field, Field]:
        """Return the fields of each network's factors on what enters a layer and on what leaves it."""
        first = 2 * self.layers + len(self.vectors) + 2 * layer
        return self.fields[first], self.fields[first + 1]

    def unpack(self, row: Tensor) -> dict[str, Tensor]:
        """Return one slot's row ``(size,)`` named and shaped as by `torch.nn.Sequential`: weights ``outputs x inputs``.

        The modules of a layer are Linear, the activation, and one for each technique that has parameters there, such
        as BatchNorm1d: ``0.weight``, ``0.bias``, ``2.weight`` ... Those of the inputs come first.
        """
        modules: dict[tuple[int, str], int] = {}
        at = 0
        for layer in range(-1, self.layers):
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
            state[f"{modules[field.layer, owner]}.{name}"] = (value.T if field.kind == "weight" else value).clone()
        return state
