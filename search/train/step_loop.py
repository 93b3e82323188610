"""The steps of an epoch in the torch engine: each is the same work, for the host too, so that a GPU can replay it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from search.train.graphs import Repeated
from search.train.step_tables import StepTables
from search.train.values import Moment, TechniqueValues


class StepLoop:
    """Takes the steps of an epoch.

    Args:
        moment: the point that the pack has reached; it has the tables while steps are taken.
        techniques: each technique's view of the pack.
        size: the number of rows of a minibatch; the last one of an epoch may have fewer.
        step: the function that takes a step with the rows of each group, ``(batch,)`` each.
        repeats: whether a step depends on nothing of the host but what tables hold.
    """

    def __init__(
        self,
        moment: Moment,
        techniques: Sequence[TechniqueValues],
        size: int,
        step: Callable[[Sequence[Tensor]], None],
        *,
        repeats: bool,
    ) -> None:
        self._moment, self._techniques, self._size, self._step = moment, techniques, size, step
        self._tables, self._repeats = StepTables(moment.device), repeats
        self._repeated: dict[int, Repeated] = {}

    def __call__(self, orders: Sequence[Tensor]) -> None:
        """Take the steps of an epoch.

        Args:
            orders: the order of the training rows for each group, ``(rows,)`` each.
        """
        moment, rows = self._moment, len(orders[0])
        self._tables.begin(orders, moment.steps)
        moment.tables, moment.read_by_host = self._tables, False
        for step in range(moment.steps):
            moment.step, moment.forward = step, 0
            count = min(self._size, rows - step * self._size)
            if count not in self._repeated:
                self._repeated[count] = self._of(count)
            self._repeated[count]()
        moment.tables = None

    def _of(self, count: int) -> Repeated:
        """Return the work of a step with so many rows in each group."""
        before = self._states()

        def take() -> dict[str, Tensor]:
            self._step(list(self._tables.rows(count, self._size)))
            self._tables.advance()
            return {}

        def is_the_same_again() -> bool:
            unmoved = all(now is then for now, then in zip(self._states(), before, strict=True))
            return self._repeats and not self._moment.read_by_host and unmoved

        return Repeated(take, self._moment.device, is_the_same_again)

    def _states(self) -> list[Tensor]:
        """Return the techniques' states; a hook that puts a new tensor in the place of one cannot be repeated."""
        return [tensor for values in self._techniques for tensor in values.state.values()]
