"""The numeric hyperparameters of each training step, as techniques schedule them (`Technique.schedule`)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
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
        self.names = tuple(sorted({name for each in factors for name in each if name in self._given}))

    def begin(self) -> None:
        """Set the hyperparameters of the moment's step."""
        if not self.names:
            return
        self.end()
        moment = self._moment
        if moment.tables is None:
            moment.numeric = self._at(moment.step)
            return
        rows = moment.tables.read("schedule", self._scheduled_at)
        moment.numeric = self._given | dict(zip(self.names, rows, strict=True))

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
        moment.numeric = self._at(step)
        try:
            return of(step)
        finally:
            moment.numeric = before

    def _at(self, step: int) -> dict[str, Tensor]:
        """Return the hyperparameters of a step of the present epoch; the moment has those of the trials."""
        moment, now = self._moment, dict(self._given)
        for schedule, own in self._schedules:
            for name, factor in schedule(moment.epoch * moment.steps + step, moment.steps, own).items():
                if name in now:
                    now[name] = now[name] * factor
        return now

    def _scheduled_at(self, step: int) -> Tensor:
        """Return those of them that change, ``names x slots``."""
        now = self._at(step)
        return torch.stack([now[name] for name in self.names])

    def end(self) -> None:
        """Set the hyperparameters of the trials, for all that is not a step."""
        self._moment.numeric = self._given
