"""The losses of `search.train.losses` with their gradients, and the scores, for the rows of one slot."""

# mypy: ignore-errors
# numba types these functions, when it compiles them.

from __future__ import annotations

import math

from search.train import losses
from search.train.compiled.elementary import exp
from search.train.compiled.toolchain import kernel
from search.train.losses import LossFunction

CODES: dict[LossFunction, int] = {losses.cross_entropy: 0, losses.mse: 1, losses.l1: 2, losses.huber: 3}
"""The number by which kernels know a loss."""

_CROSS_ENTROPY, _MSE, _L1 = 0, 1, 2


@kernel
def loss_and_gradient(code, z, y, weights, d, outputs, share, total):
    """Return `total` plus the losses of some rows, one by one, and write the gradient of their sum times `share`.

    Args:
        code: the loss.
        z, y, d: the predictions, the targets and the gradient, ``rows x padded outputs``; d is zero in the padding.
        weights: the factor on the loss of each row; empty if all are 1.
        outputs: the number of real outputs.
        share: the factor on the gradient, such as 1 / batch.
        total: the sum of the losses so far, a float64.
    """
    number = z.dtype.type
    each, one = number(1.0 / outputs), number(1)
    for row in range(len(z)):
        weight = weights[row] if len(weights) else one
        factor = share * each * weight
        if code == _CROSS_ENTROPY:
            total += _cross_entropy(z, y, d, row, outputs, share * weight) * weight
        else:
            loss = number(0)
            for j in range(outputs):
                e = z[row, j] - y[row, j]
                size = -e if e < 0 else e
                if code == _MSE:
                    loss += e * e
                    slope = e + e
                elif code == _L1:
                    loss += size
                    slope = e * number(0) + number((e > 0) - (e < 0))
                else:
                    loss += number(0.5) * e * e if size < one else size - number(0.5)
                    slope = -one if e < -one else one if e > one else e
                d[row, j] = slope * factor
            total += float(loss * each * weight)
        for j in range(outputs, d.shape[1]):
            d[row, j] = number(0)
    return total


@kernel
def _cross_entropy(z, y, d, row, outputs, share):
    """Return the loss of a row; ``dz = share * (sum of y * softmax(z) - y)``."""
    number = z.dtype.type
    top = z[row, 0]
    for j in range(1, outputs):
        top = z[row, j] if z[row, j] > top else top
    # The padding is computed too, because full vectors are faster; it is overwritten.
    for j in range(z.shape[1]):
        d[row, j] = exp(z[row, j] - top)
    exponentials, targets = number(0), number(0)
    for j in range(outputs):
        exponentials += d[row, j]
        targets += y[row, j]
    log_sum = top + number(math.log(exponentials))
    loss = number(0)
    for j in range(outputs):
        loss -= y[row, j] * (z[row, j] - log_sum)
    factor = share * targets / exponentials
    for j in range(outputs):
        d[row, j] = d[row, j] * factor - y[row, j] * share
    return float(loss)


@kernel
def correct(z, y, weights, outputs):
    """Return the number of rows whose most probable class is the true one, or the sum of their weights.

    Of equally probable classes the first counts.
    """
    right = 0.0
    for row in range(len(z)):
        guess, truth = 0, 0
        for j in range(1, outputs):
            guess = j if z[row, j] > z[row, guess] else guess
            truth = j if y[row, j] > y[row, truth] else truth
        if guess == truth:
            right += weights[row] if len(weights) else 1.0
    return right


@kernel
def squared_error(z, y, weights, scale, outputs):
    """Return the sum over rows and outputs of the squared error in the user's units, times the row's weight."""
    total = 0.0
    for row in range(len(z)):
        error = z.dtype.type(0)
        for j in range(outputs):
            e = (z[row, j] - y[row, j]) * scale[j]
            error += e * e
        total += float(error * weights[row] if len(weights) else error)
    return total
