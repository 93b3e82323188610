"""Where each parameter of a slot lies in the pack's flat buffers.

A pack keeps its weights in one tensor ``slots x size``, and so its gradients, its optimiser state and its best
weights: an update, a penalty, a compaction or a checkpoint is then one operation for the whole pack. Widths are padded
to multiples of 16 floats (64 bytes), because batched products on the CPU agree to the bit, whatever the number of
slots, only where each slot's matrix starts on a 64-byte boundary. Padding holds zeros and stays zero: its inputs are
zero, so its gradients are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from torch import Tensor

ALIGNMENT = 16


def padded(width: int) -> int:
    """The next multiple of 16."""
    return -(-width // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True)
class Field:
    """One parameter: its shape as the user knows it and as it is stored, and where it starts in a slot's row."""

    name: str
    shape: tuple[int, ...]
    stored: tuple[int, ...]
    offset: int

    @property
    def size(self) -> int:
        """Numbers stored, padding included."""
        return math.prod(self.stored)

    @property
    def layer(self) -> int:
        """The layer it belongs to, from 0: a linear layer, with what stands between it and the next one."""
        return int(self.name.partition(".")[0])

    @property
    def kind(self) -> str:
        """``weight`` or ``bias`` of the linear layer, or a technique's own, such as ``batch_norm.weight``."""
        return self.name.partition(".")[2]

    @property
    def inner(self) -> tuple[slice, ...]:
        """The index of the true parameter within the stored one, after the slots dimension."""
        return (slice(None), *(slice(0, width) for width in self.shape))


@dataclass(frozen=True)
class Layout:
    """The fields of a multilayer perceptron: per layer a weight ``inputs x outputs`` and a bias ``outputs``.

    Args:
        widths: of the input, each hidden layer and the output.
        vectors: parameters of techniques behind hidden layers, (layer from 0, technique, name) each, as long as the
            layer is wide.
    """

    widths: tuple[int, ...]
    vectors: tuple[tuple[int, str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"a network needs at least an input and an output width, all >= 1; got {self.widths}")

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        fields: list[Field] = []
        offset = 0
        for layer, (inputs, outputs) in enumerate(pairwise(self.widths)):
            for name, shape in ((f"{layer}.weight", (inputs, outputs)), (f"{layer}.bias", (outputs,))):
                field = Field(name, shape, tuple(padded(width) for width in shape), offset)
                fields.append(field)
                offset += field.size
        for layer, technique, name in self.vectors:
            width = self.widths[layer + 1]
            fields.append(Field(f"{layer}.{technique}.{name}", (width,), (padded(width),), offset))
            offset += padded(width)
        return tuple(fields)

    @property
    def layers(self) -> int:
        return len(self.widths) - 1

    @cached_property
    def size(self) -> int:
        """Numbers stored for one slot."""
        return self.fields[-1].offset + self.fields[-1].size

    @cached_property
    def trainable(self) -> int:
        """True parameters of one slot, padding left out."""
        return sum(math.prod(field.shape) for field in self.fields)

    def view(self, buffer: Tensor, field: Field) -> Tensor:
        """The field in a buffer ``slots x size``, as ``slots x stored shape``, sharing memory."""
        return buffer[:, field.offset : field.offset + field.size].view(len(buffer), *field.stored)

    def weight(self, layer: int) -> Field:
        return self.fields[2 * layer]

    def bias(self, layer: int) -> Field:
        return self.fields[2 * layer + 1]

    def vector(self, layer: int, technique: str, name: str) -> Field:
        """A technique's own parameter behind a hidden layer."""
        return self.fields[2 * self.layers + self.vectors.index((layer, technique, name))]

    def unpack(self, row: Tensor) -> dict[str, Tensor]:
        """One slot's row ``(size,)`` as `torch.nn.Sequential` names and shapes it: weights are ``outputs x inputs``.

        The modules of a layer are Linear, activation, and one for each technique that owns parameters there, such as
        BatchNorm1d: ``0.weight``, ``0.bias``, ``2.weight`` ...
        """
        modules: dict[tuple[int, str], int] = {}
        at = 0
        for layer in range(self.layers):
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
