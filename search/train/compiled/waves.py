"""The waves of features and their gradients (`search.train.waves`), each in one pass over the numbers."""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import math

import numpy as np

from search.train.compiled.elementary import quarter_cosine, quarter_sine
from search.train.compiled.toolchain import kernel


@kernel
def forward(x, frequency, phase, waves, slopes):
    """Write the waves, and ``sin(2 pi u)`` for their gradient to `slopes`, ``slots x rows x features * K`` both.

    `x` is ``slots x rows x features``; `frequency` and `phase` are ``slots x features * K``.
    """
    number = waves.dtype.type
    one, two, half, pi = number(1), number(2), number(0.5), number(math.pi)
    slots, rows, features = x.shape
    count = waves.shape[2] // features
    for slot in range(slots):
        for row in range(rows):
            for feature in range(features):
                value = x[slot, row, feature]
                for at in range(feature * count, (feature + 1) * count):
                    turns = value * frequency[slot, at] + phase[slot, at]
                    angle = (turns - np.floor(turns + half)) * pi
                    sine, cosine = quarter_sine(angle), quarter_cosine(angle)
                    waves[slot, row, at] = one - two * sine * sine
                    slopes[slot, row, at] = two * sine * cosine


@kernel
def backward(gradient, x, frequency, slopes, of_x, of_frequency, of_phase):
    """Add the gradients in features, frequencies and phases to zeros, from that in the waves, all shaped as above."""
    turn = gradient.dtype.type(2 * math.pi)
    slots, rows, features = x.shape
    count = gradient.shape[2] // features
    for slot in range(slots):
        for row in range(rows):
            for feature in range(features):
                value = x[slot, row, feature]
                total = gradient.dtype.type(0)
                for at in range(feature * count, (feature + 1) * count):
                    of_turns = -gradient[slot, row, at] * slopes[slot, row, at] * turn
                    of_phase[slot, at] += of_turns
                    of_frequency[slot, at] += of_turns * value
                    total += of_turns * frequency[slot, at]
                of_x[slot, row, feature] = total
