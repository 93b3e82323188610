"""The compiled form of each optimiser: its `update`, over a range of every slot's parameters.

State and values are those of `search.train.optimisers`, so both forms continue from each other's states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
Update = Callable[[int, int], None]
"""A function that takes the step for the parameters from a place of each slot to before another."""


def prepare(optimiser: Optimiser, pack: Flats, values: Mapping[str, Tensor]) -> Update | None:
    """Begin a step, and return the function that takes it; None if there is no compiled form of it.

    Args:
        optimiser: the optimiser.
        pack: weights, gradient and the optimiser's state; what is one number for each slot is brought up to date here.
        values: as for `Optimiser.update`.
    """
    lr = values["lr"]
    begin = _STEPS.get(type(optimiser))
    if begin is None or (lr.dim() == 2 and lr.shape[1] > 1):
        return None
    pack.values = values
    return begin(optimiser, pack)


class Flats:
    """A pack's tensors as the kernels take them: flat arrays, made once for all steps.

    Args:
        theta, gradient: ``slots x size``.
        state: the optimiser's state.

    Attributes:
        values: the hyperparameters of the present step, as for `Optimiser.update`.
    """

    def __init__(self, theta: Tensor, gradient: Tensor, state: State) -> None:
        self.size = theta.shape[1]
        self.theta, self.gradient = flat(theta), flat(gradient)
        self.values: Mapping[str, Tensor] = {}
        self.zeros = np.zeros(len(theta), self.theta.dtype)
        self._state = {name: flat(tensor) for name, tensor in state.items()}
        self._empty = self.theta[:0]
        self._known: dict[str, tuple[Tensor, Array]] = {}

    def state(self, name: str) -> Array:
        """Return a tensor of the state, empty if it is not there."""
        return self._state.get(name, self._empty)

    def value(self, name: str) -> Array:
        """Return a hyperparameter ``(slots,)``; zeros if it is not in use."""
        tensor = self.values.get(name)
        if tensor is None:
            return self.zeros
        known = self._known.get(name)
        if known is None or known[0] is not tensor:
            known = self._known[name] = tensor, flat(tensor)
        return known[1]


def flat(tensor: Tensor) -> Array:
    """Return a contiguous tensor on the CPU as a flat array of the same memory."""
    array: Array = tensor.numpy().reshape(-1)
    return array


def _sgd(optimiser: Optimiser, pack: Flats) -> Update:
    assert isinstance(optimiser, SGD)
    moving = pack.state("moving")
    before = moving.copy() if len(moving) else pack.zeros
    moving[:] = 1
    momentum, dampening, decay = (pack.value(name) for name in ("momentum", "dampening", "weight_decay"))
    given = pack.state("velocity"), before, pack.size, pack.value("lr"), momentum, dampening, decay, optimiser.nesterov
    return lambda start, stop: steps.sgd(pack.theta, pack.gradient, *given, start, stop)


def _adam(optimiser: Optimiser, pack: Flats) -> Update:
    powers = pack.state("power1"), pack.state("power2")
    for power, beta in zip(powers, ("beta1", "beta2"), strict=True):
        power *= pack.value(beta)
    decays = pack.value("weight_decay"), pack.zeros
    given = (
        pack.state("m"),
        pack.state("v"),
        *powers,
        pack.state("gain1"),
        pack.state("gain2"),
        pack.size,
        pack.value("lr"),
    )
    eps, (coupled, decoupled) = pack.value("eps"), decays[::-1] if isinstance(optimiser, AdamW) else decays
    return lambda start, stop: steps.adam(pack.theta, pack.gradient, *given, eps, coupled, decoupled, start, stop)


def _adagrad(_optimiser: Optimiser, pack: Flats) -> Update:
    count = pack.state("steps")
    before = count.copy() if len(count) else np.zeros(len(pack.zeros))
    count += 1
    given = pack.state("sum"), before, pack.size, pack.value("lr")
    values = pack.value("lr_decay"), pack.value("adagrad_eps"), pack.value("weight_decay")
    return lambda start, stop: steps.adagrad(pack.theta, pack.gradient, *given, *values, start, stop)


def _rmsprop(_optimiser: Optimiser, pack: Flats) -> Update:
    given = *(pack.state(name) for name in ("v", "m", "velocity", "gain")), pack.size, pack.value("lr")
    values = pack.value("momentum"), pack.value("eps"), pack.value("weight_decay")
    return lambda start, stop: steps.rmsprop(pack.theta, pack.gradient, *given, *values, start, stop)


_STEPS: dict[type, Callable[[Optimiser, Flats], Update]] = {
    SGD: _sgd,
    Adam: _adam,
    AdamW: _adam,
    Adagrad: _adagrad,
    RMSprop: _rmsprop,
}
