"""The activation functions of `search.train.activations` and their derivatives, over a stretch of memory."""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import math

from search.train.activations import SLOPE
from search.train.compiled.elementary import erf, exp, tanh
from search.train.compiled.toolchain import kernel

CODES = {None: 0, "leaky_relu": 1, "relu": 2, "tanh": 3, "gelu": 4}
"""The number by which kernels know an activation; the last layer has none."""
GELU = 4
"""The code of the activation whose derivative takes z; the others take h, which may overwrite z."""
TANH = 3
"""The code of the activation whose derivative takes the size of h; those before it take only its sign."""

_LEAKY_RELU, _RELU = 1, 2
_ROOT_HALF, _DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


@kernel
def activate(code, z, h):
    """Write ``a(z)`` to `h`, which may be the same memory."""
    number = z.dtype.type
    if code == _LEAKY_RELU:
        slope = number(SLOPE)
        for i in range(len(z)):
            h[i] = z[i] if z[i] > 0 else z[i] * slope
    elif code == _RELU:
        # NaN is not <= 0, so that a slot that diverges is seen.
        for i in range(len(z)):
            h[i] = number(0) if z[i] <= 0 else z[i]
    elif code == TANH:
        for i in range(len(z)):
            h[i] = tanh(z[i])
    elif code == GELU:
        root, half = number(_ROOT_HALF), number(0.5)
        for i in range(len(z)):
            h[i] = z[i] * half * (number(1) + erf(z[i] * root))


@kernel
def differentiate(code, gradient, kept):
    """Turn the gradient in h into that in z, in place; `kept` holds z for gelu, h for the others."""
    number = kept.dtype.type
    if code == _LEAKY_RELU:
        slope = number(SLOPE)
        for i in range(len(gradient)):
            gradient[i] = gradient[i] if kept[i] > 0 else gradient[i] * slope
    elif code == _RELU:
        for i in range(len(gradient)):
            gradient[i] = number(0) if kept[i] <= 0 else gradient[i]
    elif code == TANH:
        for i in range(len(gradient)):
            gradient[i] = gradient[i] * (number(1) - kept[i] * kept[i])
    elif code == GELU:
        root, half, density = number(_ROOT_HALF), number(0.5), number(_DENSITY)
        for i in range(len(gradient)):
            z = kept[i]
            slope = half * (number(1) + erf(z * root)) + z * density * exp(-half * z * z)
            gradient[i] = gradient[i] * slope
