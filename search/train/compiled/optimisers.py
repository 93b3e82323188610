"""An optimiser's state and hyperparameters as the kernels take them (`steps`).

State and values are those of `search.train.optimisers`, so both forms continue from each other's states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from search.train.compiled import steps
from search.train.optimisers import Optimiser, State
from search.train.optimisers.adagrad import Adagrad
from search.train.optimisers.adam import Adam, AdamW
from search.train.optimisers.rmsprop import RMSprop
from search.train.optimisers.sgd import SGD

Array = NDArray[np.floating]


class _Form(NamedTuple):
    """How kernels know an optimiser: its code, the names of its moments and counts in its state, and its numbers.

    A number is the name of a hyperparameter, or of a tensor of the state; "" is 0.
    """

    code: int
    moments: Sequence[str]
    counts: Sequence[str]
    numbers: Sequence[str]


_BETAS = ("beta1", "beta2", "gain1", "gain2", "eps")
_FORMS: dict[type, _Form] = {
    SGD: _Form(steps.SGD, ("velocity",), ("moving",), ("momentum", "dampening", "weight_decay")),
    Adam: _Form(steps.ADAM, ("m", "v"), ("power1", "power2"), (*_BETAS, "weight_decay", "")),
    AdamW: _Form(steps.ADAM, ("m", "v"), ("power1", "power2"), (*_BETAS, "", "weight_decay")),
    Adagrad: _Form(steps.ADAGRAD, ("sum",), ("steps",), ("lr_decay", "adagrad_eps", "weight_decay")),
    RMSprop: _Form(steps.RMSPROP, ("v", "m", "velocity"), (), ("gain", "momentum", "eps", "weight_decay")),
}


class Update(NamedTuple):
    """The optimiser of a pack, as `steps.step` takes it.

    Attributes:
        code: the optimiser.
        first, second, third: its moments.
        counts: what it counts, float64 ``2 x slots``.
        numbers: its hyperparameters, ``7 x slots``.
        nesterov: whether SGD has Nesterov's momentum.
    """

    code: int
    first: Array
    second: Array
    third: Array
    counts: Array
    numbers: Array
    nesterov: bool


class CompiledOptimiser:
    """The steps of an optimiser in kernels.

    Args:
        optimiser: an optimiser that has a compiled form (`has_form`).
        theta, gradient: ``slots x size``.
        state: the optimiser's state.
        values: the numeric hyperparameters in use, ``(slots,)`` each, as in `read`.
    """

    def __init__(
        self, optimiser: Optimiser, theta: Tensor, gradient: Tensor, state: State, values: Mapping[str, Tensor]
    ) -> None:
        form, slots = _FORMS[type(optimiser)], len(theta)
        self._theta, self._gradient, self._size = flat(theta), flat(gradient), theta.shape[1]
        first, second, third = (
            flat(state[name]) if name in state else self._theta[:0] for name in (*form.moments, "", "")[:3]
        )
        self._counted = [flat(state[name]) for name in form.counts if name in state]
        nesterov = isinstance(optimiser, SGD) and optimiser.nesterov
        numbers = np.zeros((7, slots), self._theta.dtype)
        self._update = Update(form.code, first, second, third, np.zeros((2, slots)), numbers, nesterov)
        self._numbers, self._state = form.numbers, state
        self.read(values)

    def read(self, values: Mapping[str, Tensor]) -> None:
        """Take over the numeric hyperparameters in use, ``(slots,)`` each, for the next steps; `lr` is not read."""
        for row, name in enumerate(self._numbers):
            if (given := values.get(name, self._state.get(name))) is not None:
                self._update.numbers[row] = flat(given)

    @staticmethod
    def none(theta: Tensor) -> Update:
        """Return what stands for an optimiser where weights stay as they are."""
        empty = flat(theta)[:0]
        return Update(steps.NONE, empty, empty, empty, np.zeros((2, 0)), np.zeros((7, 0), empty.dtype), nesterov=False)

    def begin(self) -> Update:
        """Return the state from which a kernel takes steps; `end` follows them."""
        for count, stored in zip(self._update.counts, self._counted, strict=False):
            count[:] = stored
        return self._update

    def end(self) -> None:
        """Write the counts to the state; the moments are there already."""
        for count, stored in zip(self._update.counts, self._counted, strict=False):
            stored[:] = count

    def step(self, lr: Tensor) -> None:
        """Take a step of every slot; `lr` is ``(slots,)``, ``slots x 1`` or ``slots x size``."""
        apart = lr.numel() > len(self._update.numbers[0])
        kernel = steps.steps_apart if apart else steps.steps
        kernel(self._theta, self._gradient, self._size, flat(lr), *self.begin())
        self.end()


def has_form(optimiser: Optimiser) -> bool:
    """Return whether an optimiser has a compiled form."""
    return type(optimiser) in _FORMS


def flat(tensor: Tensor) -> Array:
    """Return a contiguous tensor on the CPU as a flat array of the same memory."""
    array: Array = tensor.numpy().reshape(-1)
    return array
