"""The initial weights of slots."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from search.technique.layout import Field
from search.train import streams
from search.train.program import Program
from search.train.values import TechniqueValues


def initial_weights(
    program: Program, replicates: Sequence[int], techniques: Sequence[TechniqueValues], like: Tensor
) -> Tensor:
    """Draw the weights ``slots x size``: uniform in +-1/sqrt(inputs), as in `torch.nn.Linear`, unless a hook maps them.

    The factors of networks that share weights are 1.

    There is one unit draw per (replicate, parameter, shape). So the trials of one replicate start from the same point,
    and trials with different initialisations from paired points.

    Args:
        program: the program of the slots.
        replicates: the replicate of each slot.
        techniques: the values of the program's techniques, in their order.
        like: a tensor with the pack's type and device.
    """
    layout = program.layout
    theta = like.new_zeros(len(replicates), layout.size)
    distinct = list(dict.fromkeys(replicates))
    which = torch.tensor([distinct.index(replicate) for replicate in replicates], device=like.device)
    for field in layout.fields:
        draws = []
        for replicate in distinct:
            stream = streams.key(program.seed, replicate, "init", field.name, *field.shape)
            draws.append(streams.uniform(stream, math.prod(field.shape), like.device, like.dtype).view(field.shape))
        units = torch.stack(draws)
        # Computed for each replicate and then copied to its slots, which keeps intermediate results small.
        current = _default(program, field, units)[which]
        for technique, values in zip(program.techniques, techniques, strict=True):
            if technique.init is not None:
                current = technique.init(current, units[which], field, values)
        layout.view(theta, field)[field.inner] = current
    return theta


def _default(program: Program, field: Field, unit: Tensor) -> Tensor:
    if field.kind in ("weight", "bias"):
        return (2 * unit - 1) / math.sqrt(program.layout.widths[field.layer])
    if field.kind in ("input_scale", "output_scale"):
        return torch.ones_like(unit)
    if field.layer == -2:  # waves
        return torch.zeros_like(unit)
    owner, _, name = field.kind.rpartition(".")
    technique = next(one for one in program.techniques if one.name == owner)
    if field.layer < 0:
        assert technique.input_parameters is not None
        return torch.full_like(unit, technique.input_parameters(field.shape[0])[name])
    assert technique.parameters is not None
    return torch.full_like(unit, technique.parameters(field.layer + 1, field.shape[0])[name])
