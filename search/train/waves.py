"""The waves of features, which are inputs of the first layer beside the features (`search.technique.Technique.waves`).

    x_j -> x_j, cos(2 pi (f_j1 x_j + p_j1)), ..., cos(2 pi (f_jK x_j + p_jK))

The features come first, then all waves of the first feature, and so on. On the CPU the cosine is a polynomial, sums and
products alone, because torch's own rounds differently where a vector register is not full; with compiled kernels it is
one pass over the numbers (`compiled.waves`).

With u = f x + p in turns, ``r = u - round(u)`` and ``h = pi r``, which is at most pi / 2:

    cos(2 pi u) = 1 - 2 sin(h)^2        sin(2 pi u) = 2 sin(h) cos(h)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from search.technique.layout import FREQUENCY, PHASE, Layout, padded
from search.train.engine import Engine
from search.train.values import TechniqueValues

# The last power of the Taylor series of sin and cos, for angles up to pi / 2: errors are below that of rounding.
_POWERS = {torch.float32: 12, torch.float64: 20}


def of(layout: Layout, techniques: Sequence[TechniqueValues], engine: Engine) -> Callable[[Tensor], Tensor] | None:
    """Return the function that adds the waves to features ``groups or slots x batch x padded features``.

    Args:
        layout: the place of each parameter.
        techniques: each technique's view of the pack, with its parameters.
        engine: what computes them.
    """
    if not layout.waves:
        return None
    owner = next(values for values in techniques if (-1, FREQUENCY) in values.parameters)
    return partial(_added, layout, owner, _Waves if engine == "torch" else _CompiledWaves)


def parameters(layout: Layout, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return the frequencies and the phases in the weights ``slots x size``, ``slots x features * K`` each."""
    names = {name: (layer, owner, name) for layer, owner, name in layout.vectors if layer == -2}
    fields = [layout.vector(*names[name]) for name in (FREQUENCY, PHASE)]
    first, second = (layout.view(theta, field)[field.inner] for field in fields)
    return first, second


def _added(layout: Layout, values: TechniqueValues, computed: type[torch.autograd.Function], x: Tensor) -> Tensor:
    count = layout.features * layout.waves
    frequency, phase = (values.parameter(name, -1)[:, :count] for name in (FREQUENCY, PHASE))
    x = values.per_slot(x)[..., : layout.features]
    waves: Tensor = computed.apply(x, frequency, phase, layout.waves)  # type: ignore[no-untyped-call]
    room = padded(layout.widths[0]) - layout.widths[0]
    return torch.cat([x, waves, x.new_zeros(*x.shape[:-1], room)], -1)


class _Waves(torch.autograd.Function):
    """The waves ``slots x batch x features * K`` of features ``slots x batch x features``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frequency: Tensor, phase: Tensor, count: int) -> Tensor:
        repeated = x.repeat_interleave(count, -1)
        sine, cosine = _half(repeated * frequency[:, None] + phase[:, None])
        ctx.save_for_backward(repeated, frequency, sine, cosine)
        ctx.count = count
        return 1 - 2 * sine * sine

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        repeated, frequency, sine, cosine = ctx.saved_tensors
        of_turns = gradients[0] * sine * cosine * (-4 * math.pi)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (of_turns * frequency[:, None]).unflatten(-1, (-1, ctx.count)).sum(-1)
        return of_x, (of_turns * repeated).sum(1), of_turns.sum(1), None


class _CompiledWaves(torch.autograd.Function):
    """The same by compiled kernels, on the CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, frequency: Tensor, phase: Tensor, count: int) -> Tensor:
        from search.train.compiled.waves import forward  # it takes numba

        x, frequency, phase = (one.contiguous() for one in (x, frequency, phase))
        waves = x.new_empty(*x.shape[:-1], x.shape[-1] * count)
        slopes = torch.empty_like(waves)
        forward(*(one.detach().numpy() for one in (x, frequency, phase, waves, slopes)))
        ctx.save_for_backward(x, frequency, slopes)
        return waves

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        from search.train.compiled.waves import backward

        x, frequency, slopes = ctx.saved_tensors
        found = torch.zeros_like(x), torch.zeros_like(frequency), torch.zeros_like(frequency)
        given = gradients[0].contiguous(), x, frequency, slopes
        backward(*(one.detach().numpy() for one in (*given, *found)))
        return (*found, None)


def _half(turns: Tensor) -> tuple[Tensor, Tensor]:
    """Return sine and cosine of half the angle of these turns, less whole turns."""
    half = (turns - turns.round()) * math.pi
    square = half * half
    last = _POWERS[turns.dtype]
    sine = cosine = torch.ones_like(half)
    for power in range(last, 0, -2):
        sine = 1 - sine * square / (power * (power + 1))
        cosine = 1 - cosine * square / (power * (power - 1))
    return half * sine, cosine
