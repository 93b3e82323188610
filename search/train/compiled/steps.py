"""A step of each optimiser (`search.train.optimisers`), for all slots of a pack and a range of each slot's parameters.

The arithmetic is element-wise and without fused operations, so a parameter's bits do not depend on the range. `theta`,
`gradient` and moments are flat, ``slots x size``; numbers of a slot are ``(slots,)``. `decay` is the coupled weight
decay, added to the gradient: ``g <- g + decay * w``.
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import math

import numpy as np

from search.train.compiled.toolchain import kernel


@kernel
def sgd(theta, gradient, velocity, moving, size, lr, momentum, dampening, decay, nesterov, start, stop):
    """`velocity` is empty without momentum; `moving` is 0 before a slot's first step, afterwards 1."""
    for slot in range(len(lr)):
        rate, mu, coupled = lr[slot], momentum[slot], decay[slot]
        begin, end = slot * size + start, slot * size + stop
        w, g = theta[begin:end], gradient[begin:end]
        share = theta.dtype.type(1)
        if mu != 0:
            share = share - moving[slot] * dampening[slot]
        if len(velocity) == 0:
            for i in range(len(w)):
                w[i] -= rate * (g[i] + coupled * w[i])
        else:
            b = velocity[begin:end]
            for i in range(len(w)):
                slope = g[i] + coupled * w[i]
                moved = b[i] * mu + share * slope
                b[i] = moved
                w[i] -= rate * (slope + mu * moved if nesterov else moved)


@kernel
def adam(
    theta, gradient, m, v, power1, power2, gain1, gain2, size, lr, eps, coupled_decay, decoupled_decay, start, stop
):  # fmt: skip
    """`power1` and `power2` are beta^t in float64; `gain1` and `gain2` are 1 - beta."""
    number = theta.dtype.type
    for slot in range(len(lr)):
        begin, end = slot * size + start, slot * size + stop
        w, g, first, second = theta[begin:end], gradient[begin:end], m[begin:end], v[begin:end]
        unbias = math.sqrt(1 - power2[slot])
        epsilon = number(unbias * eps[slot])
        rate = lr[slot] * number(unbias / (1 - power1[slot]))
        keep1, keep2, coupled, shrink = gain1[slot], gain2[slot], coupled_decay[slot], lr[slot] * decoupled_decay[slot]
        for i in range(len(w)):
            slope = g[i] + coupled * w[i]
            p = first[i] + keep1 * (slope - first[i])
            q = second[i] + keep2 * (slope * slope - second[i])
            first[i] = p
            second[i] = q
            w[i] = w[i] - shrink * w[i] - rate * (p / (np.sqrt(q) + epsilon))


@kernel
def adagrad(theta, gradient, total, steps, size, lr, lr_decay, eps, decay, start, stop):
    """`steps` is each slot's number of steps so far, in float64."""
    number = theta.dtype.type
    for slot in range(len(lr)):
        begin, end = slot * size + start, slot * size + stop
        w, g, s = theta[begin:end], gradient[begin:end], total[begin:end]
        rate, epsilon, coupled = lr[slot] / number(1 + steps[slot] * lr_decay[slot]), eps[slot], decay[slot]
        for i in range(len(w)):
            slope = g[i] + coupled * w[i]
            s[i] += slope * slope
            w[i] -= rate * (slope / (np.sqrt(s[i]) + epsilon))


@kernel
def rmsprop(theta, gradient, v, m, velocity, gain, size, lr, momentum, eps, decay, start, stop):
    """`m` is empty unless the squares are centred, `velocity` without momentum; `gain` is 1 - alpha."""
    centred, moving = len(m) > 0, len(velocity) > 0
    for slot in range(len(lr)):
        begin, end = slot * size + start, slot * size + stop
        w, g, squares = theta[begin:end], gradient[begin:end], v[begin:end]
        # Where there is no such state, these are other memory that is not touched.
        means = m[begin:end] if centred else g
        b = velocity[begin:end] if moving else g
        rate, mu, epsilon, coupled, share = lr[slot], momentum[slot], eps[slot], decay[slot], gain[slot]
        for i in range(len(w)):
            slope = g[i] + coupled * w[i]
            q = squares[i] + share * (slope * slope - squares[i])
            squares[i] = q
            if centred:
                p = means[i] + share * (slope - means[i])
                means[i] = p
                q = q - p * p
            step = slope / (np.sqrt(q) + epsilon)
            if moving:
                step = b[i] * mu + step
                b[i] = step
            w[i] -= rate * step
