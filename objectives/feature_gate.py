"""A feature gate multiplies each input of the network by a trained number, with a learning rate of its own.

``x_j <- x_j * s_j``  for each feature j, before the first layer, with s_j = 1 at the start and the learning rate
``lr * gate_lr``. So the network can turn features down faster than by the weights of its first layer.

Shapes: inputs ``slots x batch x features`` to the same; s is ``slots x features``. Hyperparameters searched: the factor
on the learning rate, named `gate_lr`; a study may also search `feature_gate`, on or off.

Source: Holzmüller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
data" (NeurIPS 2024): the scaling layer of RealMLP, whose factor is 6.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from search.technique import Array, Loops, Numeric, Structural, Technique, Values


def input_parameters(_features: int) -> dict[str, float]:
    """Return the initial value of each feature's factor."""
    return {"scale": 1.0}


def layer(h: Tensor, number: int, values: Values) -> Tensor:
    """Return inputs ``slots x batch x padded features`` times the factors; the padding stays 0."""
    return values.per_slot(h) * values.parameter("scale", 0)[:, None] if number == 0 else h


def affine(number: int, values: Values) -> tuple[Tensor, Tensor] | None:
    """Return the factors and no shift, ``slots x padded features`` each; None for hidden layers."""
    if number > 0:
        return None
    scale = values.parameter("scale", 0)
    return scale, torch.zeros_like(scale)


def rate(_step: int, _steps: int, values: Values) -> Tensor:
    """Return the factor on `lr` of each parameter, ``slots x size``: `gate_lr` for the gate, 1 for the others."""
    layout = values.layout
    factor = torch.ones(values.slots, layout.size, dtype=values.dtype, device=values.device)
    layout.view(factor, layout.vector(-1, "feature_gate", "scale")).copy_(values["gate_lr"][:, None])
    return factor


def given(number: int, h: Tensor, values: Values) -> Sequence[Tensor] | None:
    """Return what the loops take: the factors and their gradient, ``slots x padded features``, and the inputs."""
    if number > 0:
        return None
    inputs = h.clone(memory_format=torch.contiguous_format)
    return values.parameter("scale", 0), values.parameter_gradient("scale", 0), inputs


def scale_inputs(h: Array, scale: Array, _gradient: Array, _inputs: Array) -> None:
    """Multiply inputs ``slots x batch x padded features``, in place."""
    slots, rows, width = h.shape
    for slot in range(slots):
        for row in range(rows):
            for unit in range(width):
                h[slot, row, unit] *= scale[slot, unit]


def differentiate(gradient: Array, scale: Array, scale_gradient: Array, inputs: Array) -> None:
    """Turn the gradient in scaled inputs into that in the inputs, and write that of the factors."""
    slots, rows, width = gradient.shape
    for slot in range(slots):
        for unit in range(width):
            scale_gradient[slot, unit] = 0
        for row in range(rows):
            for unit in range(width):
                scale_gradient[slot, unit] += gradient[slot, row, unit] * inputs[slot, row, unit]
                gradient[slot, row, unit] *= scale[slot, unit]


technique = Technique(
    name="feature_gate",
    hyperparameters={
        "feature_gate": Structural(default=True, choices=(False, True), neutral=False),
        "gate_lr": Numeric(default=6.0, low=1.0, high=20.0, log=True, above=0.0, when={"feature_gate": (True,)}),
    },
    input_parameters=input_parameters,
    layer=layer,
    affine=affine,
    rate=rate,
    loops=Loops(given, scale_inputs, differentiate),
)
