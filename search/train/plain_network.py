"""Networks of plain linear layers, as a model file holds them, and how their layers are named there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from search.train.activations import ACTIVATIONS


@dataclass(frozen=True, eq=False)
class PlainNetwork:
    """A network of linear layers, with an activation after every layer but the last.

    Attributes:
        activation: the name of the activation.
        layers: the weight ``outputs x inputs`` and the bias ``(outputs,)`` of each branch of each layer; most have one.
        weight: its weight in the ensemble; 1 if it is alone.
        maps: factor and shift of hidden layers' activations, ``(units,)``, by the layer's number from 1.
        residual: the numbers of the layers to whose activations, after that, what entered them is added.
        waves: the frequencies and the phases of the inputs' waves, ``(inputs * waves,)``; None if there are none.
    """

    activation: str
    layers: Sequence[Sequence[tuple[Tensor, Tensor]]]
    weight: float = 1.0
    maps: Mapping[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    residual: Sequence[int] = ()
    waves: tuple[Tensor, Tensor] | None = None

    @classmethod
    def of(
        cls,
        tensors: Mapping[str, Tensor],
        widths: Sequence[int],
        activation: str,
        residual: Sequence[int],
        branches: Sequence[int] = (),
        weight: float = 1.0,
        prefix: str = "",
    ) -> PlainNetwork:
        """Return the network of these tensors, which are named as in a model file."""

        def pair(start: str, *names: str) -> tuple[Tensor, Tensor]:
            first, second = (tensors[f"{prefix}{start}.{name}"] for name in names)
            return first, second

        names = [linear_names(layer, branches) for layer in range(len(widths) - 1)]
        layers = [[pair(name, "weight", "bias") for name in of_layer] for of_layer in names]
        maps = {number: pair(f"{2 * number - 1}", "factor", "shift") for number in mapped(residual)}
        waves = pair("0", "frequency", "phase") if f"{prefix}0.frequency" in tensors else None
        return cls(activation, layers, weight, maps, residual, waves)

    def names(self, layer: int) -> list[str]:
        """Return how the names of the tensors of each branch of a layer, from 0, begin: `linear_names`."""
        return linear_names(layer, [len(branches) for branches in self.layers])

    def forward(self, x: Tensor) -> Tensor:
        """Return logits or standardised values, ``rows x outputs``, of scaled inputs ``rows x features``."""
        if self.waves is not None:
            x = with_waves(x, *(tensor.to(x) for tensor in self.waves))
        for number, branches in enumerate(self.layers, 1):
            # Activations may change what they get, but a product is a new tensor.
            each = [torch.addmm(bias.to(x), x, weight.to(x).T) for weight, bias in branches]
            if number < len(self.layers):
                each = [ACTIVATIONS[self.activation].forward(h) for h in each]
            h = mean(each)
            if number in self.maps:
                factor, shift = (tensor.to(x) for tensor in self.maps[number])
                h = h * factor + shift
            x = h + x if number in self.residual else h
        return x


def with_waves(x: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """Return inputs ``rows x inputs`` and, after them, their waves, whose frequencies and phases are ``(waves,)``."""
    turns = x.repeat_interleave(len(frequency) // x.shape[1], 1) * frequency + phase
    return torch.cat([x, torch.cos(2 * math.pi * turns)], 1)


def mean(branches: Sequence[Tensor]) -> Tensor:
    """Return the activations of a layer in evaluation, of those of its branches, which have the same shape."""
    # One sum after the other has the same bits in any place of a tensor; a single branch is returned as it is.
    return reduce(torch.add, branches) / len(branches) if len(branches) > 1 else branches[0]


def linear_names(layer: int, branches: Sequence[int]) -> list[str]:
    """Return how the names of a layer's tensors begin, for each of its branches: ``2``, or ``2.branches.0`` ...

    Args:
        layer: the layer, from 0.
        branches: the number of branches of each hidden layer, or ().
    """
    count = branches[layer] if layer < len(branches) else 1
    return [f"{2 * layer}.branches.{branch}" for branch in range(count)] if count > 1 else [f"{2 * layer}"]


def mapped(residual: Sequence[int]) -> list[int]:
    """Return the hidden layers whose affine maps cannot be part of the next layer, because they are added to one.

    Args:
        residual: the numbers of the layers to whose activations what entered them is added.
    """
    return sorted({*residual, *(number - 1 for number in residual)})
