"""A network and its gates as the kernels take them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.technique.layout import Layout
from search.train.compiled import activations, layers
from search.train.compiled.optimisers import Array

Places = NDArray[np.int64]


def plan_of(layout: Layout, activation: str, gated: bool, joined: Collection[int] = ()) -> Places:
    """Return a network as kernels take it, int64 ``10 x layers`` (`layers`).

    Further branches are layers after the last one; only kernels for one layer at a time take them.

    Args:
        layout: the place of each parameter.
        activation: the name of the function after every layer but the last.
        gated: whether its activations have gates.
        joined: the numbers of the hidden layers, from 2, to whose activations what entered them is added.
    """
    plan = np.zeros((10, len(layout.linears)), np.int64)
    for number, (layer, _) in enumerate(layout.linears):
        weight, bias = layout.weight(number), layout.bias(number)
        plan[layers.INPUTS, number], plan[layers.OUTPUTS, number] = weight.stored
        plan[layers.WEIGHT, number], plan[layers.BIAS, number] = weight.offset, bias.offset
        plan[layers.CODE, number] = activations.CODES[activation if layer < layout.layers - 1 else None]
    for number in joined:
        plan[layers.JOINED, number - 1] = 1
    # A gate changes h, of which the derivative of tanh takes the size; what is added to h changes its sign, too.
    code = plan[layers.CODE]
    apart = (code == activations.GELU) | ((code == activations.TANH) & gated) | (plan[layers.JOINED] == 1)
    plan[layers.APART] = apart
    kept = plan[layers.OUTPUTS] * (1 + plan[layers.APART])
    for name, each in (
        (layers.KEPT, kept),
        (layers.DELTA, plan[layers.OUTPUTS]),
        (layers.TURNED, plan[layers.INPUTS] * plan[layers.OUTPUTS]),
    ):
        plan[name] = np.cumsum(each) - each
    return plan


def kept_size(plan: Places, first: int, last: int, rows: int) -> int:
    """Return how many numbers the layers from `first` to before `last` keep of so many rows."""
    end = plan[layers.KEPT, last - 1] + plan[layers.OUTPUTS, last - 1] * (1 + plan[layers.APART, last - 1])
    return int(rows * (end - plan[layers.KEPT, first]))


class Gates(NamedTuple):
    """The gates of some steps (`search.technique.Gate`), by the number of the activations, ``steps x slots x layers``.

    Attributes:
        noise: the draws, one gate after the other.
        at: the place of the slot's draws, -1 where there is no gate.
        least, scale: the numbers of each slot's gates.
    """

    noise: Array
    at: Places
    least: Array
    scale: Array

    @staticmethod
    def none(steps: int, slots: int, like: Array) -> Gates:
        """Return what stands for the gates of some steps if there are none."""
        nothing = np.zeros((steps, slots, 0), like.dtype)
        return Gates(like[:0], nothing.astype(np.int64), nothing, nothing)


class Averaging(NamedTuple):
    """The averages of the weights as kernels update them after each step (`steps.average`).

    Attributes:
        averages: ``slots x averages x size``.
        shares: ``steps x slots x averages``.
        sources: what each one averages: another average, or the weights where it is -1.
        returns: whether the weights become the average.
    """

    averages: Array
    shares: Array
    sources: Places
    returns: NDArray[np.bool_]

    @staticmethod
    def none(like: Array) -> Averaging:
        """Return what stands for the averages if there are none."""
        return Averaging(like[:0], np.zeros((0, 0, 0), like.dtype), np.zeros(0, np.int64), np.zeros(0, bool))
