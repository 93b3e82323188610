"""The state of a running study in a few lines: its best value, its trials by state, what trains, what was pruned.

best 0.0989 (trial 40) ▇▆▄▂▁▁  from 0.134 to 0.0989 over 25 complete trials
25 complete, 39 pruned; training trials 64 to 79 at epoch 12 to 14 of 100; 279 epochs/s
trial 62 was pruned at epoch 50: val_loss 2.253, and the best there has 0.1024
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from optuna.trial import FrozenTrial, TrialState

from search.errors import counted
from search.record.observer import Trained
from search.train.metrics.objective import VAL_LOSS, Objective

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 24


class Status:
    """Follows the trials of a study, and words their state.

    Args:
        finished: the trials that have finished already.
        longest: the most epochs that a trial trains.
        aim: the first objective.

    Attributes:
        best: the best value of a complete trial; None before there is one.
        pruned: the number of pruned trials.
        epochs: the number of epochs trained since then, over all slots.
    """

    def __init__(self, finished: Sequence[FrozenTrial], longest: int, aim: Objective = VAL_LOSS) -> None:
        self._longest, self._aim = longest, aim
        self.best: float | None = None
        self._best_trial = 0
        self.complete = self.pruned = self.epochs = 0
        self._history: list[float] = []  # the best value after each complete trial
        # Of each trial in training its epoch and its best value, as a loss; and the best such value at each epoch.
        self._at: dict[int, tuple[int, float]] = {}
        self._best_at: dict[int, float] = {}
        self._last_pruned = ""
        for trial in finished:
            self.told(trial.number, trial.state, trial.values[0] if trial.values else None)

    def asked(self, numbers: Sequence[int]) -> None:
        """Count these trials as in training."""
        self._at |= dict.fromkeys(numbers, (0, math.inf))

    def epoch(self, members: Sequence[Trained]) -> None:
        """Take the values of trials that have completed an epoch."""
        self.epochs += sum(member.replicates for member in members)
        for member in members:
            last = self._aim.loss(float(member.curves[self._aim.name][-1].mean()))
            before = self._at.get(member.number, (0, math.inf))[1]
            now = min(before, last) if math.isfinite(last) else before
            self._at[member.number] = member.epoch, now
            self._best_at[member.epoch] = min(self._best_at.get(member.epoch, math.inf), now)

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        """Take a trial's result."""
        epoch, reached = self._at.pop(number, (0, math.inf))
        if state == TrialState.PRUNED:
            self.pruned += 1
            self._last_pruned = self._why(number, epoch, reached) if epoch else self._last_pruned
        elif state == TrialState.COMPLETE:
            self.complete += 1
            if value is not None and (self.best is None or self._aim.better(value, self.best)):
                self.best, self._best_trial = value, number
            if self.best is not None:
                self._history.append(self.best)

    def _why(self, number: int, epoch: int, reached: float) -> str:
        what = f"trial {number} was pruned at epoch {epoch}"
        if not math.isfinite(reached):
            return f"{what}: its {self._aim.name} never was finite"
        there, best = self._aim.loss(reached), self._aim.loss(self._best_at.get(epoch, reached))
        return f"{what}: {self._aim.name} {there:.4g}, and the best there has {best:.4g}"

    @property
    def done(self) -> int:
        """The number of finished trials."""
        return self.complete + self.pruned

    @property
    def progress(self) -> float:
        """The number of finished trials, and the share of each one in training that is done."""
        return self.done + sum(epoch for epoch, _ in self._at.values()) / self._longest

    def summary(self, seconds: float) -> str:
        """Return the best value, the number of pruned trials and the speed, in one line."""
        best = "" if self.best is None else f"best {self.best:.4g}, "
        return f"{best}{self.pruned} pruned, {self._rate(seconds)}"

    def within(self) -> str:
        """Return which epochs the trials in training have reached, ``12 to 14``; "" before the first one."""
        reached = [epoch for epoch, _ in self._at.values()]
        if not any(reached):
            return ""
        low, high = min(reached), max(reached)
        return f"{f'{low:,} to ' if low < high else ''}{high:,}"

    def lines(self, seconds: float) -> list[str]:
        """Return the state in up to three lines.

        Args:
            seconds: the time since the start.
        """
        lines = []
        if self.best is not None:
            history = sparkline(self._history, _WIDTH)
            ranged = f" from {self._history[0]:.4g} to {self.best:.4g}" if self._history[0] != self.best else ""
            trials = counted(self.complete, "complete trial")
            lines.append(f"best {self.best:.4g} (trial {self._best_trial}) {history}{ranged} over {trials}")
        training = ""
        if self._at:
            training = f"training {span(self._at)} at epoch {self.within() or '0'} of {self._longest:,}; "
        lines.append(f"{self.complete} complete, {self.pruned} pruned; {training}{self._rate(seconds)}")
        return [*lines, self._last_pruned] if self._last_pruned else lines

    def _rate(self, seconds: float) -> str:
        rate = self.epochs / max(seconds, 1e-9)
        return f"{rate:,.0f} epochs/s" if rate >= 10 else f"{rate:.1f} epochs/s"


def span(numbers: Collection[int]) -> str:
    """Name trials by the first and the last one: ``trial 7``, ``trials 7 to 9``."""
    first, last = min(numbers), max(numbers)
    return f"trials {first} to {last}" if first < last else f"trial {first}"


def sparkline(values: Sequence[float], width: int) -> str:
    """Return values as a row of bars, the last ones of equal stretches if there are more than fit.

    >>> sparkline([1.0, 2.0, 3.0], 10)
    '▁▅█'
    """
    count = min(len(values), width)
    kept = [values[round((at + 1) * len(values) / count) - 1] for at in range(count)]
    low, high = min(kept, default=0.0), max(kept, default=0.0)
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in kept)
