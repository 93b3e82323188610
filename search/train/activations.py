"""Activation functions with their derivatives, computed in place where possible.

All are element-wise, and their vectorised and scalar paths agree to the bit on the CPU. So a slot's result does not
depend on where its numbers fall within a vector register. Sigmoid, SiLU, ELU and softplus do not pass this test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.01


@dataclass(frozen=True)
class Activation:
    """An element-wise function ``h = a(z)``.

    Attributes:
        forward: the function from z to h; it may overwrite z unless `of_input`.
        backward: the function ``(gradient in h, h or z, into)`` that writes the gradient in z into `into`, which may be
            the first argument; it calls the kernels that autograd uses.
        module: the same function as a PyTorch module.
        of_input: whether `backward` takes z; otherwise it takes h.
    """

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]
    module: type[nn.Module]
    of_input: bool = False


_aten = torch.ops.aten

ACTIVATIONS = {
    "leaky_relu": Activation(
        lambda z: F.leaky_relu(z, SLOPE, inplace=True),
        lambda gradient, h, into: _aten.leaky_relu_backward(gradient, h, SLOPE, True, grad_input=into),
        nn.LeakyReLU,
    ),
    "relu": Activation(
        lambda z: F.relu(z, inplace=True),
        lambda gradient, h, into: _aten.threshold_backward(gradient, h, 0, grad_input=into),
        nn.ReLU,
    ),
    "tanh": Activation(
        lambda z: z.tanh_(),
        lambda gradient, h, into: _aten.tanh_backward(gradient, h, grad_input=into),
        nn.Tanh,
    ),
    "gelu": Activation(
        F.gelu,
        lambda gradient, z, into: _aten.gelu_backward(gradient, z, grad_input=into),
        nn.GELU,
        of_input=True,
    ),
}
