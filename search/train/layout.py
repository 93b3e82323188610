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
    def inner(self) -> tuple[slice, ...]:
        """The index of the true parameter within the stored one, after the slots dimension."""
        return (slice(None), *(slice(0, width) for width in self.shape))


@dataclass(frozen=True)
class Layout:
    """The fields of a multilayer perceptron: per layer a weight ``inputs x outputs`` and a bias ``outputs``."""

    widths: tuple[int, ...]

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

    def unpack(self, row: Tensor) -> dict[str, Tensor]:
        """One slot's row ``(size,)`` as `torch.nn.Sequential` names and shapes it: weights are ``outputs x inputs``.

        The modules alternate between Linear and activation, hence the even numbers: ``0.weight``, ``2.weight`` ...
        """
        state = {}
        for field in self.fields:
            layer, kind = field.name.split(".")
            value = self.view(row[None], field)[field.inner][0]
            state[f"{2 * int(layer)}.{kind}"] = (value.T if kind == "weight" else value).clone()
        return state
