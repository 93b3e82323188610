"""The plain network of a slot: linear layers and activations alone, which predict what the slot does in evaluation.

A technique that is an affine map of activations in evaluation (`Technique.affine`) becomes part of the next layer:

    h' = h * s + t    W h' + b = (W diag(s)) h + (W t + b)

This is computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from search.train.batches import Batches
from search.train.program import Program
from search.train.values import bind, make_values


@torch.no_grad()
def plain_weights(
    program: Program, batches: Batches, state: Mapping[str, Tensor], replicates: Sequence[int], slot: int
) -> dict[str, Tensor]:
    """Return a slot's layers as those of a `torch.nn.Sequential` of Linear and activation, on the CPU.

    The names are ``0.weight`` (``outputs x inputs``), ``0.bias``, ``2.weight`` ... Whatever a technique does in
    evaluation without saying so by its `affine` hook is not part of them.

    Args:
        program: the program of all slots.
        batches: the data on the device.
        state: the state of the pack, with a row for each slot.
        replicates: the replicate of each slot; equal ones are consecutive.
        slot: the slot.
    """
    layout, theta = program.layout, state["theta"]
    moment, techniques = make_values(program, batches, state, replicates)
    moment.train = False
    bind(layout, techniques, state, torch.zeros_like(theta))
    tensors = {}
    for layer in range(layout.layers):
        fields = layout.weight(layer), layout.bias(layer)
        weight, bias = (layout.view(theta, field)[field.inner][slot].double() for field in fields)
        inputs = len(weight)
        for technique, values in reversed(list(zip(program.techniques, techniques, strict=True))):
            if technique.affine is not None and (affine := technique.affine(layer, values)) is not None:
                scale, shift = (part[slot, :inputs].double() for part in affine)
                weight, bias = weight * scale[:, None], bias + shift @ weight
        tensors[f"{2 * layer}.weight"] = weight.T.to(theta.dtype).cpu().contiguous()
        tensors[f"{2 * layer}.bias"] = bias.to(theta.dtype).cpu()
    return tensors
