"""The learning rates of each training step, as techniques change them (`Technique.rate`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from search.train.scheduled import Scheduled
from search.train.values import Moment


class Rates:
    """The learning rates of a pack.

    Args:
        hooks: the techniques' functions of the step since the start and the number of steps of an epoch, which return
            factors, ``(slots,)`` or ``slots x size``.
        scheduled: the numeric hyperparameters of each step.
        moment: the point that the pack has reached, which has the rates of its step.

    Attributes:
        change: whether techniques change the rates at all.
        in_tables: whether the rates of all steps of an epoch are kept at once. Parameters with rates of their own have
            as many as there are weights, too many for each step.
    """

    def __init__(self, hooks: Sequence[Callable[[int, int], Tensor]], scheduled: Scheduled, moment: Moment) -> None:
        self._hooks, self._scheduled, self._moment = hooks, scheduled, moment
        self.change = bool(hooks)
        self.in_tables = self.of(0).shape[1] == 1

    def of(self, step: int) -> Tensor:
        """Return the rates of a step of the present epoch, ``slots x 1`` or ``slots x size``."""
        moment = self._moment
        lr = moment.numeric["lr"][:, None]
        for hook in self._hooks:
            factor = hook(moment.epoch * moment.steps + step, moment.steps)
            lr = lr * (factor if factor.ndim == 2 else factor[:, None])
        return lr

    def now(self) -> Tensor:
        """Return the rates of the moment's step, which are the moment's from now on."""
        moment = self._moment
        if not self.change:
            return moment.numeric["lr"][:, None]
        moment.lr = self._scheduled.of_step("lr", self.of) if self.in_tables else self.of(moment.step)
        return moment.lr

    def last(self) -> Tensor:
        """Return the largest rate of each slot in the last step of the present epoch, ``(slots,)``."""
        return self._scheduled.during(self._moment.steps - 1, self.of).amax(1)
