"""A step of each optimiser (`search.train.optimisers`) for one slot, the penalties before it and the averages after it.

The arithmetic is element-wise and without fused operations. `theta`, `gradient` and moments are flat,
``slots x size``. Weight decay is coupled, ``g <- g + decay * w``, where nothing else is said.
"""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import math

import numpy as np

from search.train.compiled.toolchain import kernel

NONE, SGD, ADAM, ADAGRAD, RMSPROP = range(5)
"""The codes of optimisers; with `NONE`, weights stay as they are."""


@kernel
def step(code, theta, gradient, size, slot, lr, first, second, third, counts, numbers, nesterov):
    """Take a slot's step.

    Args:
        code: the optimiser.
        lr: the learning rate of the slot.
        first, second, third: the optimiser's moments, ``slots x size``, empty where it has fewer.
        counts: what it counts or multiplies from step to step, float64 ``2 x slots``.
        numbers: its hyperparameters, ``7 x slots``, in the order in which each function here reads them.
        nesterov: whether SGD has Nesterov's momentum.
    """
    begin, end = slot * size, (slot + 1) * size
    _step(code, theta, gradient, begin, end, slot, lr, first, second, third, counts, numbers, nesterov)


@kernel
def _step(code, theta, gradient, begin, end, slot, lr, first, second, third, counts, numbers, nesterov):
    """Take a step of the parameters from `begin` to before `end`, which are of one slot."""
    w, g = theta[begin:end], gradient[begin:end]
    # Where there is no such moment, this is other memory that is not touched.
    a = first[begin:end] if len(first) else g
    b = second[begin:end] if len(second) else g
    c = third[begin:end] if len(third) else g
    if code == SGD:
        _sgd(w, g, a, len(first) > 0, slot, lr, counts, numbers, nesterov)
    elif code == ADAM:
        _adam(w, g, a, b, slot, lr, counts, numbers)
    elif code == ADAGRAD:
        _adagrad(w, g, a, slot, lr, counts, numbers)
    elif code == RMSPROP:
        _rmsprop(w, g, a, b, len(second) > 0, c, len(third) > 0, slot, lr, numbers)


@kernel
def steps(theta, gradient, size, lr, code, first, second, third, counts, numbers, nesterov):
    """Take a step of every slot; `lr` is ``(slots,)``."""
    for slot in range(len(lr)):
        step(code, theta, gradient, size, slot, lr[slot], first, second, third, counts, numbers, nesterov)


@kernel
def steps_apart(theta, gradient, size, rates, code, first, second, third, counts, numbers, nesterov):
    """Take a step of every slot with a learning rate for each parameter, ``slots x size``.

    Parameters in a row with one rate take their step together; usually there is a rate for each layer.
    """
    for slot in range(len(theta) // size):
        # Each row counts what is counted once a step, from the same number on.
        before = counts[0, slot], counts[1, slot]
        begin, end = slot * size, (slot + 1) * size
        while begin < end:
            after = begin + 1
            while after < end and rates[after] == rates[begin]:
                after += 1
            counts[0, slot], counts[1, slot] = before
            _step(
                code, theta, gradient, begin, after, slot, rates[begin], first, second, third, counts, numbers, nesterov
            )
            begin = after


@kernel
def _sgd(w, g, velocity, moving, slot, rate, counts, numbers, nesterov):
    """``counts[0]`` is 0 before a slot's first step, afterwards 1: that step is not dampened."""
    mu, dampening, coupled = numbers[0, slot], numbers[1, slot], numbers[2, slot]
    if not moving:
        for i in range(len(w)):
            w[i] -= rate * (g[i] + coupled * w[i])
        return
    share = w.dtype.type(1)
    if mu != 0:
        share = share - w.dtype.type(counts[0, slot]) * dampening
    for i in range(len(w)):
        slope = g[i] + coupled * w[i]
        moved = velocity[i] * mu + share * slope
        velocity[i] = moved
        w[i] -= rate * (slope + mu * moved if nesterov else moved)
    counts[0, slot] = 1


@kernel
def _adam(w, g, m, v, slot, lr, counts, numbers):
    """`counts` are beta1^t and beta2^t; a gain is 1 - beta."""
    beta1, beta2, keep1, keep2 = numbers[0, slot], numbers[1, slot], numbers[2, slot], numbers[3, slot]
    eps, coupled, decoupled = numbers[4, slot], numbers[5, slot], numbers[6, slot]
    counts[0, slot] *= beta1
    counts[1, slot] *= beta2
    number = w.dtype.type
    unbias = math.sqrt(1 - counts[1, slot])
    epsilon = number(unbias * eps)
    rate, shrink = lr * number(unbias / (1 - counts[0, slot])), lr * decoupled
    for i in range(len(w)):
        slope = g[i] + coupled * w[i]
        p = m[i] + keep1 * (slope - m[i])
        q = v[i] + keep2 * (slope * slope - v[i])
        m[i] = p
        v[i] = q
        w[i] = w[i] - shrink * w[i] - rate * (p / (np.sqrt(q) + epsilon))


@kernel
def _adagrad(w, g, total, slot, lr, counts, numbers):
    """``counts[0]`` is the number of steps so far."""
    lr_decay, eps, coupled = numbers[0, slot], numbers[1, slot], numbers[2, slot]
    rate = lr / w.dtype.type(1 + counts[0, slot] * lr_decay)
    counts[0, slot] += 1
    for i in range(len(w)):
        slope = g[i] + coupled * w[i]
        total[i] += slope * slope
        w[i] -= rate * (slope / (np.sqrt(total[i]) + eps))


@kernel
def _rmsprop(w, g, squares, means, centred, velocity, moving, slot, rate, numbers):
    """A gain is 1 - alpha."""
    gain, mu, eps, coupled = numbers[0, slot], numbers[1, slot], numbers[2, slot], numbers[3, slot]
    for i in range(len(w)):
        slope = g[i] + coupled * w[i]
        q = squares[i] + gain * (slope * slope - squares[i])
        squares[i] = q
        if centred:
            p = means[i] + gain * (slope - means[i])
            means[i] = p
            q = q - p * p
        change = slope / (np.sqrt(q) + eps)
        if moving:
            change = velocity[i] * mu + change
            velocity[i] = change
        w[i] -= rate * change


@kernel
def average(theta, averages, size, slot, shares, sources, returns):
    """Let a slot's weights enter its averages one by one: ``average <- average + share * (source - average)``.

    Args:
        averages: ``slots x averages x size``.
        shares: the share of each average, ``(averages,)``; 0 and 1 are exact.
        sources: what each one averages: another average, or the weights where it is -1.
        returns: whether the weights become the average where its share is not 0.
    """
    w, first = theta[slot * size : (slot + 1) * size], slot * len(sources)
    for number in range(len(sources)):
        share = shares[number]
        if share == 0:
            continue
        own = averages[(first + number) * size : (first + number + 1) * size]
        from_ = first + sources[number]
        source = w if sources[number] < 0 else averages[from_ * size : (from_ + 1) * size]
        if share == 1:
            own[:] = source
        else:
            for i in range(size):
                own[i] = own[i] + share * (source[i] - own[i])
        if returns[number]:
            w[:] = own


_LANES, _BLOCK = 16, 4096  # sizes are multiples of 16


@kernel
def penalise(theta, gradient, size, slot, strengths):
    """Add the gradient of ``sum_p strength_p * sum_i |w_i|^p``, p = 1, 2, and return its value, float64.

    Args:
        strengths: ``2 x slots``: the factors of absolute values, and of squares.
    """
    begin, end = slot * size, (slot + 1) * size
    w, g = theta[begin:end], gradient[begin:end]
    absolute, square = strengths[0, slot], strengths[1, slot]
    value = 0.0
    zero = absolute - absolute
    if absolute != 0:
        value += absolute * absolute_sum(w)
        for i in range(len(w)):
            g[i] += absolute if w[i] > zero else (-absolute if w[i] < zero else zero * w[i])
    if square != 0:
        value += square * square_sum(w)
        slope = square + square
        for i in range(len(w)):
            g[i] += slope * w[i]
    return value


@kernel
def absolute_sum(w):
    """Return the sum of absolute values, float64."""
    total, zero = 0.0, w.dtype.type(0)
    lanes = np.zeros(_LANES, w.dtype)
    for start in range(0, len(w), _BLOCK):
        lanes[:] = zero
        for i in range(start, min(start + _BLOCK, len(w)), _LANES):
            for lane in range(_LANES):
                lanes[lane] += abs(w[i + lane])
        for lane in range(_LANES):
            total += lanes[lane]
    return total


@kernel
def square_sum(w):
    """Return the sum of squares, float64."""
    total, zero = 0.0, w.dtype.type(0)
    lanes = np.zeros(_LANES, w.dtype)
    for start in range(0, len(w), _BLOCK):
        lanes[:] = zero
        for i in range(start, min(start + _BLOCK, len(w)), _LANES):
            for lane in range(_LANES):
                lanes[lane] += w[i + lane] * w[i + lane]
        for lane in range(_LANES):
            total += lanes[lane]
    return total
