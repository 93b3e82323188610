"""The weights and gradients of networks that share the weights of a slot, as torch and compiled kernels take them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from search.technique.layout import Layout


class Buffers(NamedTuple):
    """The weights and gradients of a pack's slots, and of the networks in them.

    Attributes:
        layout, plain: the places of the slots' parameters, and of each network's.
        theta, gradient: the weights and a buffer for their gradient, ``slots x size``.
        weights, slopes: the same of all networks, ``(slots x members) x plain.size``.
    """

    layout: Layout
    plain: Layout
    theta: Tensor
    gradient: Tensor
    weights: Tensor
    slopes: Tensor
