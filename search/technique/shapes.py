"""The shapes of schedules: factors from 1 to 0 over a training, to the same bits in any place of a pack.

A share is the part of training, or of a cycle, that is over: from 0 to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def cosine(share: Tensor) -> Tensor:
    """Return ``cos(pi * share)`` for shares in [0, 1] to 1e-15, ``(slots,)``, by products and sums.

    `torch.cos` rounds differently if a vector register is not full, so that a slot's factor would depend on its place.
    """
    # It is 1 - 2 sin^2 of half the angle, at most pi / 2, where ten terms of the Taylor series of sin are enough.
    half = share * (math.pi / 2)
    square = half * half
    series = torch.ones_like(share)
    for term in range(19, 1, -2):
        series = 1 - series * square / (term * (term - 1))
    sine = half * series
    return 1 - 2 * sine * sine


def flat_cosine(share: float, flat: Tensor) -> Tensor:
    """Return 1 in the first part `flat` of training, then half a cosine from 1 to 0, ``(slots,)``.

    Args:
        share: the share of training.
        flat: the constant part of each slot, from 0 to 1, ``(slots,)``; where it is 1, the factor stays 1.
    """
    # With nothing left to fall in, the clamp avoids 0 / 0.
    fallen = ((share - flat) / (1 - flat).clamp(min=1e-9)).clamp(0.0, 1.0)
    return (1 + cosine(fallen)) / 2


def coslog4(share: float) -> float:
    """Return ``(1 - cos(2 pi log2(1 + 15 share))) / 2``: four rises and falls from 0 to 1, each twice as long.

    Source: Holzmüller et al., "Better by default: strong pre-tuned MLPs and boosted trees on tabular data" (NeurIPS
    2024).
    """
    return (1 - math.cos(2 * math.pi * math.log2(1 + 15 * share))) / 2
