"""Stochastic depth leaves out residual blocks at random in training: an example skips a layer.

With L hidden layers, the activations of layer l >= 2 are, before what entered the layer is added (technique `skip`,
which this one needs),

    h_l <- h_l * b / (1 - p_l),   b = 1 with probability 1 - p_l, else 0,   p_l = stochastic_depth * l / L

drawn anew for each example, layer and step; all trials of a replicate share the draws. Evaluation uses every layer.

Shapes: activations ``slots x batch x width`` to the same. Hyperparameters searched: the probability that the last layer
is left out, named `stochastic_depth`.

Source: Huang et al., "Deep networks with stochastic depth" (ECCV 2016), with their linear decay and drawn for each
example; `torchvision.ops.StochasticDepth` with mode "row", which divides by 1 - p in training as here.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Gate, Numeric, Technique, Values


def _draws(number: int, batch: int, values: Values) -> Tensor:
    """Return draws for the examples of a minibatch, ``groups x batch``."""
    return values.draws(f"layer {number}", batch)


def _left_out(number: int, values: Values) -> Tensor:
    """Return the probability that a layer is left out, ``(slots,)``."""
    return values["stochastic_depth"] * (number / (values.layout.layers - 1))


def layer(h: Tensor, number: int, values: Values) -> Tensor:
    """Return activations ``slots x batch x width``: those of some examples 0, the others divided by ``1 - p_l``."""
    if number < 2 or not values.train:
        return h
    p = _left_out(number, values)[:, None]
    kept = (values.per_slot(_draws(number, h.shape[1], values)) >= p) / (1 - p)
    return h * kept[..., None]


def gate(number: int, h: Tensor, values: Values) -> Gate | None:
    """Return the gate of a hidden layer's activations, ``slots x batch x width``."""
    if number < 2:
        return None
    p = _left_out(number, values)
    draws = _draws(number, h.shape[1], values)[..., None].expand(-1, -1, h.shape[2])
    return Gate(draws.contiguous(), p, 1 / (1 - p))


technique = Technique(
    name="stochastic_depth",
    hyperparameters={
        "stochastic_depth": Numeric(
            low=0.0, high=0.6, minimum=0.0, below=1.0, neutral=0.0, stronger="up", when={"skip": (True,)}
        )
    },
    layer=layer,
    gate=gate,
    monte_carlo=True,
)
