"""exp, tanh, erf, sine and cosine for loops that LLVM turns into vectors: the same bits in every place of a loop.

In float32 they are polynomials of sums and products. Errors are below 2 units in the last place for exp and tanh, below
6 for erf, and below 2e-7 for sine and cosine. In float64, in which only tests train, they are the C library's.

Source: Moshier, "Cephes mathematical library" (expf, tanhf); the rational form of erf is that of Eigen, `erf_float`;
sine and cosine are their Taylor series.
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import math

import numpy as np
from numba import types
from numba.extending import overload

_F = np.float32
_LOG2_E, _LN2_HIGH, _LN2_LOW = _F(1.44269504), _F(0.693359375), _F(-2.12194440e-4)
_EXP = tuple(
    map(_F, (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1))
)
_TANH = tuple(map(_F, (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)))
_ERF_TOP = tuple(
    map(
        _F,
        (
            2.2905065861350646e-4,
            3.4082910107109506e-3,
            5.0955695062380861e-2,
            1.8520832239976145e-1,
            1.128379143519084,
        ),
    )
)
_ERF_BOTTOM = tuple(
    map(
        _F,
        (
            -1.1791602954361697e-7,
            2.3547966471313185e-5,
            1.0179625278914885e-3,
            1.4070470171167667e-2,
            1.1098505178285362e-1,
            4.9746925110067538e-1,
            1.0,
        ),
    )
)
_SINE = tuple(_F((-1) ** (power // 2) / math.factorial(power)) for power in (11, 9, 7, 5, 3))
_COSINE = tuple(_F((-1) ** (power // 2) / math.factorial(power)) for power in (12, 10, 8, 6, 4, 2))
_ERF_EDGE = _F(3.7439211627767994)  # from here on erf is 1 in float32


def exp(x):
    """Return ``e^x``; in float32 for x from -87 to 88, and the value there beyond."""


def tanh(x):
    """Return the hyperbolic tangent."""


def erf(x):
    """Return the error function."""


def quarter_sine(x):
    """Return the sine; in float32 for x from -pi / 2 to pi / 2."""


def quarter_cosine(x):
    """Return the cosine; in float32 for x from -pi / 2 to pi / 2."""


@overload(exp)
def _exp(x):
    if x != types.float32:
        return lambda x: math.exp(x)

    def polynomial(x):
        # The comparisons let NaN through.
        x = _F(-87.0) if x < _F(-87.0) else x
        x = _F(88.0) if x > _F(88.0) else x
        whole = np.floor(x * _LOG2_E + _F(0.5))
        x = x - whole * _LN2_HIGH - whole * _LN2_LOW
        y = _EXP[0]
        y = y * x + _EXP[1]
        y = y * x + _EXP[2]
        y = y * x + _EXP[3]
        y = y * x + _EXP[4]
        y = y * x + _EXP[5]
        y = y * x * x + x + _F(1.0)
        return y * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)

    return polynomial


@overload(tanh)
def _tanh(x):
    if x != types.float32:
        return lambda x: math.tanh(x)

    def polynomial(x):
        square = x * x
        y = _TANH[0]
        y = y * square + _TANH[1]
        y = y * square + _TANH[2]
        y = y * square + _TANH[3]
        y = y * square + _TANH[4]
        small = y * square * x + x
        size = -x if x < _F(0.0) else x
        large = _F(1.0) - _F(2.0) / (exp(size + size) + _F(1.0))
        large = -large if x < _F(0.0) else large
        return small if size < _F(0.625) else large

    return polynomial


@overload(erf)
def _erf(x):
    if x != types.float32:
        return lambda x: math.erf(x)

    def rational(x):
        square = x * x
        top = _ERF_TOP[0]
        top = top * square + _ERF_TOP[1]
        top = top * square + _ERF_TOP[2]
        top = top * square + _ERF_TOP[3]
        top = top * square + _ERF_TOP[4]
        bottom = _ERF_BOTTOM[0]
        bottom = bottom * square + _ERF_BOTTOM[1]
        bottom = bottom * square + _ERF_BOTTOM[2]
        bottom = bottom * square + _ERF_BOTTOM[3]
        bottom = bottom * square + _ERF_BOTTOM[4]
        bottom = bottom * square + _ERF_BOTTOM[5]
        bottom = bottom * square + _ERF_BOTTOM[6]
        y = x * top / bottom
        # The quotient stays below 1, and gelu would let 6e-8 of any negative number through.
        y = _F(-1.0) if x <= -_ERF_EDGE else y
        return _F(1.0) if x >= _ERF_EDGE else y

    return rational


@overload(quarter_sine)
def _quarter_sine(x):
    if x != types.float32:
        return lambda x: math.sin(x)

    def polynomial(x):
        square = x * x
        y = _SINE[0]
        y = y * square + _SINE[1]
        y = y * square + _SINE[2]
        y = y * square + _SINE[3]
        y = y * square + _SINE[4]
        return y * square * x + x

    return polynomial


@overload(quarter_cosine)
def _quarter_cosine(x):
    if x != types.float32:
        return lambda x: math.cos(x)

    def polynomial(x):
        square = x * x
        y = _COSINE[0]
        y = y * square + _COSINE[1]
        y = y * square + _COSINE[2]
        y = y * square + _COSINE[3]
        y = y * square + _COSINE[4]
        y = y * square + _COSINE[5]
        return y * square + _F(1.0)

    return polynomial
