"""The kernels: Adam's step in one pass over the weights, what comes before it for each slot, and the bound of norms.

Arrays are contiguous, ``slots x size``, or have a number for each slot. Every number that differs between slots is read
from memory of the GPU, never passed by the host, so that a CUDA graph may hold a launch.

Quotients and square roots are Triton's fast ones, which are off by at most two units in the last place. They only
enter the step, which is small beside a weight.
"""

# mypy: ignore-errors
# Triton types these functions, when it compiles them.

from __future__ import annotations

import triton
import triton.language as tl

BLOCK = 1024
"""The weights that one program of `adam` updates."""
ROWS, COLUMNS = 64, 32
"""The numbers that one program of `bound_norms` reads at a time; a row of them is what a GPU fetches at once."""
SLOTS = 128
"""The slots that one program of `advance` counts."""


@triton.jit
def advance(power1, power2, beta1, beta2, eps, factor, floor, slots, BLOCK: tl.constexpr):
    """Count a step of each slot: multiply beta1^(t-1) and beta2^(t-1), float64, by the betas.

    With ``u = sqrt(1 - beta2^t)``, write ``factor = u / (1 - beta1^t)`` and ``floor = u * eps``, with which `adam`
    corrects the bias of both moments.
    """
    slot = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = slot < slots
    first = tl.load(power1 + slot, inside, 0.0) * tl.load(beta1 + slot, inside, 0.0)
    second = tl.load(power2 + slot, inside, 0.0) * tl.load(beta2 + slot, inside, 0.0)
    tl.store(power1 + slot, first, inside)
    tl.store(power2 + slot, second, inside)
    unbias = tl.sqrt(1 - second)
    tl.store(factor + slot, unbias / (1 - first), inside)
    tl.store(floor + slot, unbias * tl.load(eps + slot, inside, 0.0), inside)


@triton.jit
def adam(
    theta, gradient, m, v, rate, factor, floor, gain1, gain2, decay, strengths, sums, low, slots, size,
    DECAY: tl.constexpr, DECOUPLED: tl.constexpr, PENALISED: tl.constexpr, APART: tl.constexpr, LOW: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Take a step of Adam or AdamW (`search.train.optimisers.adam`) for a block of a slot's weights.

    Args:
        theta, gradient, m, v: the weights, the gradient of their loss, and the moments.
        rate: the learning rate of each slot, or ``slots x size`` if `APART`.
        factor, floor: what `advance` has written.
        gain1, gain2: ``1 - beta``.
        decay: the weight decay, if `DECAY`; it is AdamW's if `DECOUPLED`.
        strengths: the factors of the sums of absolute values and of squares, ``2 x slots``, whose gradients are added
            if `PENALISED`.
        sums: those sums over the block before the step, ``2 x slots x blocks``, which are written then.
        low: where the weights are written once more in its smaller type, if `LOW`.
    """
    slot = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < size
    at = slot * size + place
    w = tl.load(theta + at, inside, 0.0)
    g = tl.load(gradient + at, inside, 0.0)
    lr = tl.load(rate + at, inside, 0.0) if APART else tl.load(rate + slot)
    if PENALISED:
        sign = (w > 0).to(w.dtype) - (w < 0).to(w.dtype)
        g += tl.load(strengths + slot) * sign + 2 * tl.load(strengths + slots + slot) * w
        block = slot * tl.num_programs(0) + tl.program_id(0)
        tl.store(sums + block, tl.sum(tl.abs(w)))
        tl.store(sums + slots * tl.num_programs(0) + block, tl.sum(w * w))
    if DECAY:
        if DECOUPLED:
            w -= w * (lr * tl.load(decay + slot))
        else:
            g += w * tl.load(decay + slot)
    first = _towards(tl.load(m + at, inside, 0.0), g, tl.load(gain1 + slot))
    second = _towards(tl.load(v + at, inside, 0.0), g * g, tl.load(gain2 + slot))
    w -= first / (tl.sqrt(second) + tl.load(floor + slot)) * (lr * tl.load(factor + slot))
    tl.store(theta + at, w, inside)
    tl.store(m + at, first, inside)
    tl.store(v + at, second, inside)
    if LOW:
        tl.store(low + at, w.to(low.dtype.element_ty), inside)


@triton.jit
def _towards(start, end, share):
    """Return ``start + share * (end - start)``, as `torch.lerp` computes it: exactly `end` for a share of 1."""
    return tl.where(share < 0.5, start + share * (end - start), end - (1 - share) * (end - start))


@triton.jit
def bound_norms(theta, bounds, size, offset, inputs, outputs, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Scale columns of a weight to a norm of at most the slot's bound (`search.technique.norms`), and write no others.

    Args:
        theta: the weights; that of the layer is ``inputs x outputs`` from `offset` in a slot's row.
        bounds: the bound of each slot.
    """
    slot = tl.program_id(1).to(tl.int64)
    row = tl.arange(0, ROWS)[:, None]
    column = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    weight = theta + slot * size + offset
    bound = tl.load(bounds + slot)
    squares = tl.zeros((1, COLUMNS), theta.dtype.element_ty)
    for start in range(0, inputs, ROWS):
        inside = (start + row < inputs) & (column < outputs)
        w = tl.load(weight + (start + row) * outputs + column, inside, 0.0)
        squares += tl.sum(w * w, 0, keep_dims=True)
    norm = tl.sqrt(squares)
    beyond = norm > bound
    if tl.max(beyond.to(tl.int32)) > 0:
        factor = bound / norm
        for start in range(0, inputs, ROWS):
            inside = (start + row < inputs) & (column < outputs) & beyond
            at = weight + (start + row) * outputs + column
            tl.store(at, tl.load(at, inside, 0.0) * factor, inside)
