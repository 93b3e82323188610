"""Observers of a run: the progress that a person sees, the count of epochs, and the deadline.

`Steps` shows the progress of work outside of a search, such as training a trial again. `search.study.display` has where
both are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType

import optuna
from optuna.trial import TrialState
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from search.record.extensions import Extension
from search.record.observer import Asked, Observer, Stop, Trained
from search.record.own import own_trials
from search.study.display import Display
from search.study.status import Status, span
from search.train.metrics.objective import VAL_LOSS, Objective

Log = Callable[[str], None]
"""A function that takes lines for a person to read."""


class Progress:
    """Shows the state of a search (`search.study.status`): below a bar on a terminal, and in lines elsewhere.

    Args:
        study: the Optuna study; its finished trials count as done.
        budget: the total number of trials.
        epochs: the largest number of epochs of a trial.
        width: the largest number of slots in a pack.
        aim: the first objective.
        extensions: returns the extensions of the study so far.
        has_stopped: returns whether the study has ended before its budget was spent.
    """

    def __init__(
        self,
        study: optuna.Study,
        budget: int,
        epochs: int,
        width: int,
        aim: Objective = VAL_LOSS,
        extensions: Callable[[], Sequence[Extension]] = tuple,
        has_stopped: Callable[[], bool] = bool,
    ) -> None:
        self._status = Status(own_trials(study, [TrialState.COMPLETE, TrialState.PRUNED]), epochs, aim)
        self._budget, self._width = budget, width
        self._extensions, self._announced = extensions, len(extensions())
        self._has_stopped = has_stopped
        self._display = Display(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._waiting = False

    def __enter__(self) -> Progress:
        self._display.begin("searching", self._budget, self._status.done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self._has_stopped():
            self._budget = self._status.done  # no more trials come, so the bar is full
            self._display.update(total=self._budget, completed=self._budget)
        if not self._display.live and self._status.epochs:
            self._display.show(self._line())
        self._display.end()

    def asked(self, cohort: Sequence[Asked]) -> None:
        if not self._status.epochs and not self._status.within():
            self._display.show(f"at most {self._width} slots train together")
        self._follow_extensions()
        asked = [one.number for one in cohort]
        self._status.asked(asked)
        if not self._display.live:
            self._display.show(f"training {span(asked)} of {self._budget}")

    def _follow_extensions(self) -> None:
        """Print the extensions since the last cohort, and add their trials to the total."""
        extensions = self._extensions()
        for extension in extensions[self._announced :]:
            self._display.show(str(extension))
            self._budget = max(self._budget, extension.budget)
        self._announced = len(extensions)
        self._display.update(total=self._budget)

    def epoch(self, members: Sequence[Trained]) -> None:
        if not members and not self._waiting:
            self._waiting = True
            self._display.show("another process trains what is left: waiting for it")
        self._status.epoch(members)
        if self._display.live:
            self._display.update(completed=int(self._status.progress))
            self._display.lines = self._status.lines(self._display.seconds)
        elif self._display.is_due():
            self._display.show(self._line())

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        self._status.told(number, state, value)

    def _line(self) -> str:
        within = f"the next ones at epoch {reached}, " if (reached := self._status.within()) else ""
        summary = self._status.summary(self._display.seconds)
        return f"{self._status.done} of {self._budget} trials done, {within}{summary}"


class Steps:
    """Shows work outside of a search: what it is, how many of its steps are done, and the time left.

    A line at the start says what it is. Then there is a bar on a terminal, and a line now and then elsewhere.

    Args:
        what: the line.
        total: the number of steps.
        unit: the plural of what a step is called.
        log: gets the lines, in place of stderr; then there is no bar.
    """

    def __init__(self, what: str, total: int, unit: str = "epochs", log: Log | None = None) -> None:
        self._what, self._total, self._unit, self._done = what, total, unit, 0
        columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn()
        self._display = Display(*columns, transient=True)
        self._bar = self._display.live and log is None
        self._replaced = self._display.in_notebook and log is None
        self._show = log or self._display.show

    def __enter__(self) -> Steps:
        self._show(self._what)
        if self._bar:
            self._display.begin(self._unit, self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._display.end()
        elif self._replaced:
            self._show(self._state())

    def advance(self, steps: int = 1) -> None:
        """Show that so many more steps are done."""
        self._done += steps
        if self._bar:
            self._display.update(completed=self._done)
        elif self._display.is_due():
            self._show(f"{self._state()}{self._left()}")

    def _state(self) -> str:
        return f"{self._what}: {self._done:,} of {self._total:,} {self._unit}"

    def _left(self) -> str:
        if not 0 < self._done < self._total:
            return ""
        seconds = self._display.seconds * (self._total - self._done) / self._done
        return f", {seconds:,.0f} s left" if seconds < 100 else f", {seconds / 60:,.0f} min left"


class EpochCount:
    """Counts the finished trials, and the epochs trained over all slots."""

    def __init__(self) -> None:
        self.trials = self.epochs = 0

    def asked(self, cohort: Sequence[Asked]) -> None: ...

    def epoch(self, members: Sequence[Trained]) -> None:
        self.epochs += sum(member.replicates for member in members)

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        del number, state, value
        self.trials += 1


class Deadline:
    """Stops a run some seconds after it began; the next run adopts the trials in training."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def asked(self, cohort: Sequence[Asked]) -> None: ...

    def epoch(self, members: Sequence[Trained]) -> None:
        del members
        if time.monotonic() > self._end:
            raise Stop

    def told(self, number: int, state: TrialState, value: float | None) -> None: ...


class Watchers:
    """Passes everything on to several observers."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def asked(self, cohort: Sequence[Asked]) -> None:
        for observer in self._observers:
            observer.asked(cohort)

    def epoch(self, members: Sequence[Trained]) -> None:
        for observer in self._observers:
            observer.epoch(members)

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        for observer in self._observers:
            observer.told(number, state, value)
