"""Batch normalisation of hidden units, after the activation.

In training ``h <- weight * (h - mean) / sqrt(var + 1e-5) + bias`` with mean and (biased) variance over the minibatch of
each unit of each slot; in evaluation with running estimates, which after each training pass are ``(1 - alpha) * running
+ alpha * of the minibatch`` (variance unbiased). `weight` and `bias` are trained, from 1 and 0.

Source: Ioffe and Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
shift" (ICML 2015), who normalise before the activation; `torch.nn.BatchNorm1d`, whose `momentum` is alpha, here
`bn_alpha`.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor

from search.technique import Numeric, Structural, StudyContext, Technique, Values

_EPSILON = 1e-5


def check(context: StudyContext) -> None:
    """One row has no variance: no minibatch may be of one. A linear model has no hidden units."""
    if context.possible("hidden") == ["0"]:
        raise ValueError("takes a hidden layer, got hidden 0")
    for rows, size in product(context.train_rows, map(int, context.possible("batch_size"))):
        if size == 1 or rows % size == 1:
            raise ValueError(
                f"takes minibatches of at least 2 rows: {rows} rows in minibatches of {size} leave one alone"
            )


def parameters(_number: int, _width: int) -> dict[str, float]:
    """Scale and shift of each unit, as `torch.nn.BatchNorm1d` begins with them."""
    return {"weight": 1.0, "bias": 0.0}


def start(values: Values) -> dict[str, Tensor]:
    """Running estimates of each hidden layer, ``slots x padded width``: mean 0 and variance 1."""
    state = {}
    for number in range(1, values.layout.layers):
        width = values.layout.bias(number - 1).stored[0]
        state[f"{number}.running_mean"] = torch.zeros(values.slots, width, dtype=values.dtype, device=values.device)
        state[f"{number}.running_var"] = torch.ones(values.slots, width, dtype=values.dtype, device=values.device)
    return state


class _Normalise(torch.autograd.Function):
    """``(h - mean) / sqrt(var + epsilon) * weight + bias`` over dim 1, with the mean and biased variance of `h`.

    Its gradient in closed form: autograd's own goes through mean and variance separately, in twice the time.
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
    """Activations ``slots x batch x padded width``, normalised; the padding stays 0, as its `weight` and `bias` are."""
    if number == 0:
        return h
    mean, var = values.state[f"{number}.running_mean"], values.state[f"{number}.running_var"]
    weight, bias = values.parameter("weight", number)[:, None], values.parameter("bias", number)[:, None]
    if not values.train:
        scale = weight / (var[:, None] + _EPSILON).sqrt()
        return torch.addcmul(bias, h - mean[:, None], scale)
    rows, alpha = h.shape[1], values["bn_alpha"][:, None]
    if rows == 1:
        raise ValueError("batch_norm takes minibatches of at least 2 rows, got 1")
    normalised: Tensor
    normalised, batch_mean, batch_var = _Normalise.apply(h, weight, bias)  # type: ignore[no-untyped-call]
    mean.lerp_(batch_mean[:, 0], alpha)
    var.lerp_(batch_var[:, 0] * (rows / (rows - 1)), alpha)
    return normalised


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
)
