"""The plain network of a slot: linear layers and activations alone, which predict what the slot does in evaluation.

A technique that is an affine map of activations in evaluation (`Technique.affine`) becomes part of the next layer:

    h' = h * s + t    W h' + b = (W diag(s)) h + (W t + b)

The waves of features (`search.train.waves`) stay what they are, after the map of the features:

    cos(2 pi (f (x s + t) + p)) = cos(2 pi ((f s) x + (f t + p)))

The map stays apart where h' is added to the activations of the next layer, or what entered the layer is added to h'
(`Technique.residual`). All of this is computed in float64 and rounded once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from search.train import waves
from search.train.batches import Batches
from search.train.members import member_weights
from search.train.plain_network import linear_names, mapped
from search.train.program import Program
from search.train.values import bind, make_values


@torch.no_grad()
def plain_weights(
    program: Program, batches: Batches, state: Mapping[str, Tensor], replicates: Sequence[int], slot: int
) -> list[dict[str, Tensor]]:
    """Return a slot's layers as those of a `torch.nn.Sequential` of Linear and activation, on the CPU.

    It is one network, or those that share the slot's weights.

    The names are ``0.weight`` (``outputs x inputs``), ``0.bias``, ``2.weight`` ... A map that stays apart is
    ``1.factor`` and ``1.shift`` after the first activation; waves are ``0.frequency`` and ``0.phase``. The branches of
    a layer are ``2.branches.0.weight`` ..., and its activations are the mean of theirs. Whatever a technique does in
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
    own = theta[slot : slot + 1].double()
    common: dict[str, Tensor] = {}
    networks: list[dict[str, Tensor]] = [{} for _ in range(layout.members)]
    apart = mapped(program.joined)
    for layer in range(layout.layers):
        factor = theta.new_ones(layout.widths[layer] if layer else layout.features, dtype=torch.float64)
        shift = torch.zeros_like(factor)
        for technique, values in zip(program.techniques, techniques, strict=True):
            if technique.affine is not None and (affine := technique.affine(layer, values)) is not None:
                scale, offset = (part[slot, : len(factor)].double() for part in affine)
                factor, shift = factor * scale, shift * scale + offset
        if layer in apart:
            common[f"{2 * layer - 1}.factor"] = factor.to(theta.dtype).cpu()
            common[f"{2 * layer - 1}.shift"] = shift.to(theta.dtype).cpu()
        if layer == 0 and layout.waves:
            frequency, phase = (one[slot].double() for one in waves.parameters(layout, theta))
            of_wave = factor.repeat_interleave(layout.waves), shift.repeat_interleave(layout.waves)
            common["0.frequency"] = (frequency * of_wave[0]).to(theta.dtype).cpu()
            common["0.phase"] = (phase + frequency * of_wave[1]).to(theta.dtype).cpu()
            factor, shift = torch.cat([factor, torch.ones_like(frequency)]), torch.cat([shift, 0 * frequency])
        for number, name in zip(layout.linears_of(layer), linear_names(layer, layout.branches), strict=True):
            inputs, outputs = layout.weight(number).shape
            weights, biases = (one[0] for one in member_weights(layout, own, number))
            for tensors, whole, offset in zip(networks, weights, biases, strict=True):
                weight, bias = whole[:inputs, :outputs], offset[:outputs]
                if layer not in apart:
                    weight, bias = weight * factor[:, None], bias + shift @ weight
                tensors[f"{name}.weight"] = weight.T.to(theta.dtype).cpu().contiguous()
                tensors[f"{name}.bias"] = bias.to(theta.dtype).cpu()
    # A model file takes no tensor twice.
    return [{name: one.clone() for name, one in common.items()} | tensors for tensors in networks]
