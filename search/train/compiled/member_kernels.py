"""The weights of networks that share those of a slot, and the gradient of what they share (`search.train.members`).

All memory is flat: ``slots x size`` of the slots and ``slots x members x size`` of the networks. A table, int64
``8 x linear maps``, says where the parameters of each linear map are; its rows are named here.
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import numpy as np

from search.train.compiled.toolchain import kernel

INPUTS, OUTPUTS, WEIGHT, BIAS, INPUT_SCALE, OUTPUT_SCALE, NETWORK_WEIGHT, NETWORK_BIAS = range(8)
"""The rows of a table: padded widths, and the places of parameters in a slot's row and in a network's."""


@kernel
def spread(table, theta, size, networks, network_size, members):
    """Write the weights and biases of each network: ``W_m = diag(r_m) W diag(s_m)`` and b_m."""
    for which in range(len(networks) // network_size):
        slot, member = which // members, which % members
        begin, into = slot * size, which * network_size
        for number in range(table.shape[1]):
            inputs, outputs = table[INPUTS, number], table[OUTPUTS, number]
            r_at = begin + table[INPUT_SCALE, number] + member * inputs
            s_at = begin + table[OUTPUT_SCALE, number] + member * outputs
            s = theta[s_at : s_at + outputs]
            for i in range(inputs):
                from_at = begin + table[WEIGHT, number] + i * outputs
                to_at = into + table[NETWORK_WEIGHT, number] + i * outputs
                w, to = theta[from_at : from_at + outputs], networks[to_at : to_at + outputs]
                r = theta[r_at + i]
                for j in range(outputs):
                    to[j] = w[j] * r * s[j]
            b_at = begin + table[BIAS, number] + member * outputs
            to_at = into + table[NETWORK_BIAS, number]
            networks[to_at : to_at + outputs] = theta[b_at : b_at + outputs]


@kernel
def fold(table, theta, gradient, size, slopes, network_size, members):
    """Write the gradient of W, r, s and b, of the gradients of all W_m and b_m."""
    products = np.empty(table[OUTPUTS].max(), theta.dtype)
    for which in range(len(slopes) // network_size):
        slot, member = which // members, which % members
        begin, source = slot * size, which * network_size
        for number in range(table.shape[1]):
            inputs, outputs = table[INPUTS, number], table[OUTPUTS, number]
            r_at = begin + table[INPUT_SCALE, number] + member * inputs
            s_at = begin + table[OUTPUT_SCALE, number] + member * outputs
            s, of_s = theta[s_at : s_at + outputs], gradient[s_at : s_at + outputs]
            of_s[:] = 0
            for i in range(inputs):
                w_at = begin + table[WEIGHT, number] + i * outputs
                d_at = source + table[NETWORK_WEIGHT, number] + i * outputs
                w, of_w = theta[w_at : w_at + outputs], gradient[w_at : w_at + outputs]
                d, r = slopes[d_at : d_at + outputs], theta[r_at + i]
                if member == 0:
                    of_w[:] = 0
                for j in range(outputs):
                    left = d[j] * s[j]
                    of_w[j] += left * r
                    of_s[j] += d[j] * w[j] * r
                    products[j] = left * w[j]
                gradient[r_at + i] = _sum(products[:outputs])
            b_at = begin + table[BIAS, number] + member * outputs
            d_at = source + table[NETWORK_BIAS, number]
            gradient[b_at : b_at + outputs] = slopes[d_at : d_at + outputs]


@kernel
def _sum(numbers):
    """Return the sum of some numbers, a multiple of 16: in four parts, which a processor adds at the same time."""
    first = second = third = fourth = numbers.dtype.type(0)
    for at in range(0, len(numbers), 16):
        for lane in range(at, at + 4):
            first += numbers[lane]
            second += numbers[lane + 4]
            third += numbers[lane + 8]
            fourth += numbers[lane + 12]
    return (first + second) + (third + fourth)
