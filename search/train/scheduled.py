"""The numeric hyperparameters of each training step, as techniques schedule them (`Technique.schedule`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

from torch import Tensor

from search.technique import Technique
from search.train.values import Moment, TechniqueValues


class Scheduled:
    """Sets the numeric hyperparameters of a pack's moment: those of a step in training, else those of the trials.

    Args:
        techniques: the techniques of the program.
        values: each technique's view of the pack.
        moment: the point that the pack has reached.

    Attributes:
        names: the hyperparameters in use that change from step to step.
    """

    def __init__(self, techniques: Sequence[Technique], values: Sequence[TechniqueValues], moment: Moment) -> None:
        self._moment, self._given = moment, dict(moment.numeric)
        by_technique = zip(techniques, values, strict=True)
        self._schedules = [(one.schedule, own) for one, own in by_technique if one.schedule is not None]
        factors = [schedule(0, moment.steps, own) for schedule, own in self._schedules]
        self.names = frozenset(name for each in factors for name in each if name in self._given)

    def begin(self) -> None:
        """Set the hyperparameters of the moment's step."""
        if not self.names:
            return
        self.end()
        moment = self._moment
        if moment.tables is None:
            moment.numeric = self._given | {name: self._of(name, moment.step) for name in self.names}
        else:
            tables = moment.tables
            changed = {name: tables.read(("schedule", name), partial(self._of, name)) for name in self.names}
            moment.numeric = self._given | changed

    def of_step(self, name: Hashable, of: Callable[[int], Tensor]) -> Tensor:
        """Return what holds for the moment's step; while a pack has tables, it is read from the table of this name.

        Args:
            name: the name of the table.
            of: the function that returns what holds for any step of the present epoch.
        """
        moment = self._moment
        return of(moment.step) if moment.tables is None else moment.tables.read(name, partial(self.during, of=of))

    def during(self, step: int, of: Callable[[int], Tensor]) -> Tensor:
        """Return what a function of a step returns while that step's hyperparameters are set."""
        moment, before = self._moment, self._moment.numeric
        self.end()
        moment.numeric = self._given | {name: self._of(name, step) for name in self.names}
        try:
            return of(step)
        finally:
            moment.numeric = before

    def _of(self, name: str, step: int) -> Tensor:
        """Return a hyperparameter in a step of the present epoch; the moment has those of the trials."""
        moment, value = self._moment, self._given[name]
        for schedule, own in self._schedules:
            factors = schedule(moment.epoch * moment.steps + step, moment.steps, own)
            if name in factors:
                value = value * factors[name]
        return value

    def end(self) -> None:
        """Set the hyperparameters of the trials, for all that is not a step."""
        self._moment.numeric = self._given
