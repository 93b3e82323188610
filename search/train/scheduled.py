"""The numeric hyperparameters of each training step, as techniques schedule them (`Technique.schedule`)."""

from __future__ import annotations

from collections.abc import Sequence

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
        self._moment, self._given = moment, moment.numeric
        by_technique = zip(techniques, values, strict=True)
        self._schedules = [(one.schedule, own) for one, own in by_technique if one.schedule is not None]
        factors = [schedule(0, moment.steps, own) for schedule, own in self._schedules]
        self.names = frozenset(name for each in factors for name in each if name in self._given)

    def begin(self) -> None:
        """Set the hyperparameters of the moment's step."""
        if not self.names:
            return
        moment = self._moment
        self.end()
        now = dict(self._given)
        for schedule, own in self._schedules:
            for name, factor in schedule(moment.epoch * moment.steps + moment.step, moment.steps, own).items():
                if name in now:
                    now[name] = now[name] * factor
        moment.numeric = now

    def end(self) -> None:
        """Set the hyperparameters of the trials, for all that is not a step."""
        self._moment.numeric = self._given
