"""A `layer` or `mix` hook once more, in a form that the engine of the CPU compiles: a gate, or loops over arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray
from torch import Tensor

from search.technique.values import Values

Array = NDArray[Any]


class Gate(NamedTuple):
    """What dropout and its kin do to activations h, ``slots x batch x width``, with a slot's `least` and `scale`:

    ``h <- h * scale`` where ``draws >= least``, otherwise 0; the gradient passes back by the same rule.

    Attributes:
        draws: the draws of the minibatch, ``groups x batch x width`` (`Values.draws`).
        least, scale: ``(slots,)`` each.
    """

    draws: Tensor
    least: Tensor
    scale: Tensor


@dataclass(frozen=True)
class Loops:
    """What a `layer` hook does in training, forwards and backwards, slot by slot and in place.

    A technique with a `layer` hook may have it; without it, the hook runs in torch with autograd, which takes longer.
    A `mix` hook has it for ``branches x slots x batch x padded width`` (`Technique.mix_loops`).
    Both forms agree, to rounding. `forward` and `backward` are functions of a module, which numba compiles: they use
    numbers, arrays, loops and `math` only, and call no other function of Python.

    Args:
        given: a function that returns what both loops take besides the activations: tensors on the CPU whose first
            dimension is slots (or groups, as `Values.draws` returns them), or None if this layer stays as it is. It
            gets the layer's number, as in `layer`, the activations ``slots x batch x padded width`` and the values.
        forward: a function of the activations, an array ``slots x batch x padded width``, and of the arrays of `given`.
            It changes the activations in place.
        backward: a function of the gradient in the activations that `forward` left, and of the arrays of `given`. It
            changes the gradient in place to that in the activations that `forward` got, and it writes the gradients of
            the technique's own parameters (`Values.parameter_gradient`).
    """

    given: Callable[[int, Tensor, Values], Sequence[Tensor] | None]
    forward: Callable[..., None]
    backward: Callable[..., None]
