"""Batch normalisation standardises each hidden unit over the minibatch, after the activation.

``h <- weight * (h - mean) / sqrt(var + 1e-5) + bias``

In training, `mean` and `var` are the mean and the (biased) variance over the minibatch, for each unit of each slot. In
evaluation they are running estimates, which each training pass updates with the minibatch's mean and unbiased variance:
``running <- (1 - bn_alpha) * running + bn_alpha * minibatch``. `weight` and `bias` are trained, from 1 and 0.

Shapes: activations ``slots x batch x width`` to the same.

Hyperparameters searched: `bn_alpha`; a study may also search `batch_norm`, on or off.

Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
shift" (ICML 2015), who normalise before the activation; `torch.nn.BatchNorm1d`, which calls `bn_alpha` ``momentum``.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search.technique import Array, Loops, Numeric, Structural, StudyContext, Technique, Values

_EPSILON = 1e-5


def check(context: StudyContext) -> None:
    """Refuse minibatches of one row, which has no variance, and linear models, which have no hidden units."""
    if context.possible("hidden") == ["0"]:
        raise ValueError("it needs a hidden layer, got hidden 0")
    for rows, size in product(context.train_rows, map(int, context.possible("batch_size"))):
        if size == 1 or rows % size == 1:
            raise ValueError(
                f"it needs minibatches of at least 2 rows, but {rows} rows in minibatches of {size} leave one of 1: "
                "change batch_size"
            )


def parameters(_number: int, _width: int) -> dict[str, float]:
    """Return the initial scale and shift of each unit, those of `torch.nn.BatchNorm1d`."""
    return {"weight": 1.0, "bias": 0.0}


def start(values: Values) -> dict[str, Tensor]:
    """Return initial running estimates for each hidden layer, ``slots x padded width``: mean 0 and variance 1."""
    state = {}
    for number in range(1, values.layout.layers):
        width = values.layout.weight(number - 1).stored[1]
        state[f"{number}.running_mean"] = torch.zeros(values.slots, width, dtype=values.dtype, device=values.device)
        state[f"{number}.running_var"] = torch.ones(values.slots, width, dtype=values.dtype, device=values.device)
    return state


class _Normalise(torch.autograd.Function):
    """``(h - mean) / sqrt(var + epsilon) * weight + bias`` with the mean and biased variance of `h` over dim 1.

    The gradient is in closed form, because autograd goes through mean and variance separately and takes twice the time.
    """

    @staticmethod
    def forward(ctx: Any, h: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean = h.mean(1, keepdim=True)
        centred = h - mean
        squares = centred.square()
        var = squares.mean(1, keepdim=True)
        inverse = 1 / (var + _EPSILON).sqrt()
        scale = weight * inverse
        ctx.save_for_backward(centred, inverse, scale)
        ctx.mark_non_differentiable(mean, var)
        return torch.addcmul(bias, centred, scale, out=squares), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        centred, inverse, scale = ctx.saved_tensors
        gradient, rows = gradients[0], centred.shape[1]
        products = gradient * centred
        bias, product = gradient.sum(1, keepdim=True), products.sum(1, keepdim=True)
        torch.addcmul(gradient, centred, product * inverse.square() / -rows, out=products)
        return products.sub_(bias / rows).mul_(scale), product * inverse, bias


def layer(h: Tensor, number: int, values: Values) -> Tensor:
    """Return normalised activations ``slots x batch x padded width``.

    The padding stays 0, because its `weight` and `bias` are 0.
    """
    if number == 0:
        return h
    if not values.train:
        scale, shift = _running(number, values)
        return torch.addcmul(shift[:, None], h, scale[:, None])
    mean, var = values.state[f"{number}.running_mean"], values.state[f"{number}.running_var"]
    weight, bias = values.parameter("weight", number)[:, None], values.parameter("bias", number)[:, None]
    rows, alpha = h.shape[1], values["bn_alpha"][:, None]
    if rows == 1:
        raise ValueError("batch_norm needs minibatches of at least 2 rows, got 1")
    normalised: Tensor
    normalised, batch_mean, batch_var = _Normalise.apply(h, weight, bias)  # type: ignore[no-untyped-call]
    mean.lerp_(batch_mean[:, 0], alpha)
    var.lerp_(batch_var[:, 0] * (rows / (rows - 1)), alpha)
    return normalised


def affine(number: int, values: Values) -> tuple[Tensor, Tensor] | None:
    """Return the scale and shift of each unit in evaluation, ``slots x padded width`` each; None for the inputs."""
    return None if number == 0 else _running(number, values)


def _running(number: int, values: Values) -> tuple[Tensor, Tensor]:
    """Return ``weight / sqrt(running_var + epsilon)`` and ``bias - running_mean * scale``."""
    mean, var = values.state[f"{number}.running_mean"], values.state[f"{number}.running_var"]
    scale = values.parameter("weight", number) / (var + _EPSILON).sqrt()
    return scale, torch.addcmul(values.parameter("bias", number), mean, scale, value=-1)


def given(number: int, h: Tensor, values: Values) -> Sequence[Tensor] | None:
    """Return what the loops take: parameters and their gradients, running estimates, and room for the backward pass.

    They are ``slots x padded width``, except for `bn_alpha` ``(slots,)`` and the normalised activations, shaped as h.
    """
    if number == 0:
        return None
    weight = values.parameter("weight", number)
    own = [weight, values.parameter("bias", number)]
    own += [values.parameter_gradient(name, number) for name in ("weight", "bias")]
    running = [values.state[f"{number}.running_mean"], values.state[f"{number}.running_var"]]
    return *own, *running, values["bn_alpha"], torch.empty_like(weight), torch.empty_like(h)


def normalise(
    h: Array,
    weight: Array,
    bias: Array,
    _weight_gradient: Array,
    _bias_gradient: Array,
    running_mean: Array,
    running_var: Array,
    alpha: Array,
    inverse: Array,
    normalised: Array,
) -> None:
    """Normalise `h`, ``slots x batch x padded width``, in place, and update the running estimates."""
    slots, rows, width = h.shape
    one = alpha.dtype.type(1)
    share, unbiased = one / alpha.dtype.type(rows), one / alpha.dtype.type(rows - 1)
    epsilon = alpha.dtype.type(_EPSILON)
    for slot in range(slots):
        mean, var = np.zeros(width, h.dtype), np.zeros(width, h.dtype)
        for row in range(rows):
            for unit in range(width):
                mean[unit] += h[slot, row, unit]
        for unit in range(width):
            mean[unit] *= share
        for row in range(rows):
            for unit in range(width):
                centred = h[slot, row, unit] - mean[unit]
                normalised[slot, row, unit] = centred
                var[unit] += centred * centred
        for unit in range(width):
            running_mean[slot, unit] += alpha[slot] * (mean[unit] - running_mean[slot, unit])
            running_var[slot, unit] += alpha[slot] * (var[unit] * unbiased - running_var[slot, unit])
            inverse[slot, unit] = one / np.sqrt(var[unit] * share + epsilon)
        scale, shift = np.empty(width, h.dtype), np.empty(width, h.dtype)
        for unit in range(width):
            scale[unit], shift[unit] = weight[slot, unit], bias[slot, unit]
        for row in range(rows):
            for unit in range(width):
                normalised[slot, row, unit] *= inverse[slot, unit]
                h[slot, row, unit] = normalised[slot, row, unit] * scale[unit] + shift[unit]


def differentiate(
    gradient: Array,
    weight: Array,
    _bias: Array,
    weight_gradient: Array,
    bias_gradient: Array,
    _running_mean: Array,
    _running_var: Array,
    alpha: Array,
    inverse: Array,
    normalised: Array,
) -> None:
    """Turn the gradient in what `normalise` left into that in what it got, and write those of the parameters.

    With n = (h - mean) / sqrt(var + 1e-5):  ``dh = weight * inverse * (dn - mean(dn) - n * mean(dn * n))``.
    """
    slots, rows, width = gradient.shape
    share = alpha.dtype.type(1) / alpha.dtype.type(rows)
    for slot in range(slots):
        total, product = np.zeros(width, gradient.dtype), np.zeros(width, gradient.dtype)
        for row in range(rows):
            for unit in range(width):
                total[unit] += gradient[slot, row, unit]
                product[unit] += gradient[slot, row, unit] * normalised[slot, row, unit]
        scale = np.empty(width, gradient.dtype)
        for unit in range(width):
            weight_gradient[slot, unit], bias_gradient[slot, unit] = product[unit], total[unit]
            scale[unit] = weight[slot, unit] * inverse[slot, unit]
            total[unit] *= share
            product[unit] *= share
        for row in range(rows):
            for unit in range(width):
                n = normalised[slot, row, unit]
                gradient[slot, row, unit] = scale[unit] * (gradient[slot, row, unit] - total[unit] - n * product[unit])


technique = Technique(
    name="batch_norm",
    hyperparameters={
        "batch_norm": Structural(default=True, choices=(False, True), neutral=False),
        "bn_alpha": Numeric(
            default=0.1, low=0.01, high=0.5, log=True, above=0.0, maximum=1.0, when={"batch_norm": (True,)}
        ),
    },
    check=check,
    parameters=parameters,
    start=start,
    layer=layer,
    affine=affine,
    loops=Loops(given, normalise, differentiate),
    moving=True,
)
