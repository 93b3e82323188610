"""The projections of weights that kernels for a GPU know."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from search.technique import LargestNorm, Technique, Values
from search.technique.guarded import function_of
from search.train.fused import toolchain


class NormsInPlace:
    """Does what `LargestNorm` does, reading each weight once and writing only those that change.

    Args:
        name: the hyperparameter that is the bound.
        values: the values of its technique.
    """

    def __init__(self, name: str, values: Values) -> None:
        from search.train.fused import kernels  # it takes Triton

        self._kernels, self._name, self._values = kernels, name, values

    def __call__(self, theta: Tensor) -> None:
        """Change weights ``slots x size`` in place."""
        kernels, layout, bound = self._kernels, self._values.layout, self._values[self._name]
        for number in range(len(layout.linears)):
            field = layout.weight(number)
            inputs, outputs = field.stored
            kernels.bound_norms[(-(-outputs // kernels.COLUMNS), len(theta))](
                *(theta, bound, theta.shape[1], field.offset, inputs, outputs),
                ROWS=kernels.ROWS,
                COLUMNS=kernels.COLUMNS,
            )


def projections(
    techniques: Sequence[Technique], values: Sequence[Values], engine: str, device: torch.device
) -> dict[int, Callable[[Tensor], None]]:
    """Return what stands for `project` hooks whose form is known, by the identity of the technique's values.

    Args:
        techniques: the techniques of a program.
        values: the values of each.
        engine, device: what trains; where the kernels cannot be used, nothing stands for a hook.
    """
    if not toolchain.used(engine, device.type):
        return {}
    hooks = [(function_of(one.project), own) for one, own in zip(techniques, values, strict=True)]
    return {id(own): NormsInPlace(hook.name, own) for hook, own in hooks if isinstance(hook, LargestNorm)}
