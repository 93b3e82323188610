"""The branches of hidden layers (`Technique.branches`): mixed in training, and their mean in evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from search.technique import Technique
from search.train.changes import InPlace, looped
from search.train.plain_network import mean
from search.train.program import Program
from search.train.values import TechniqueValues


@dataclass(frozen=True, eq=False)
class Mixing:
    """What becomes of the branches of a hidden layer.

    Attributes:
        number: the number of the layer, from 1.
        linears: the numbers of the branches' linear maps (`search.technique.layout.Layout`).
        technique: the technique whose branches they are.
        values: its values.
    """

    number: int
    linears: Sequence[int]
    technique: Technique
    values: TechniqueValues

    def __call__(self, branches: Sequence[Tensor]) -> Tensor:
        """Return the layer's activations, of those of its branches; all are ``slots x batch x padded width``."""
        if not self.values.train:
            return mean(branches)
        assert self.technique.mix is not None
        return self.technique.mix(torch.stack(list(branches)), self.number, self.values)

    def compiled(self, branches: Tensor) -> tuple[InPlace, InPlace]:
        """Return the compiled form of `mix` for these activations, ``branches x slots x batch x padded width``.

        Both functions change such a tensor in place: one leaves the layer's activations in the first branch's place;
        the other one finds their gradient there, and leaves that in each branch.
        """
        loops = self.technique.mix_loops
        assert loops is not None
        given = loops.given(self.number, branches, self.values)
        assert given is not None
        return looped(loops.forward, given), looped(loops.backward, given)


def mixings(program: Program, techniques: Sequence[TechniqueValues]) -> dict[int, Mixing]:
    """Return what becomes of each hidden layer with branches, by the layer's number.

    Args:
        program: the program.
        techniques: the values of each of its techniques.
    """
    found = {}
    for technique, values in zip(program.techniques, techniques, strict=True):
        for layer, count in enumerate(program.layout.branches):
            # `Program.build` has made sure that no other technique gives this layer branches.
            if count > 1 and technique.branches is not None and technique.branches(layer + 1, program.structure) > 1:
                found[layer + 1] = Mixing(layer + 1, program.layout.linears_of(layer), technique, values)
    return found
