"""Observers of a run: the progress that a person sees, the count of epochs, and the deadline.

On a terminal, progress is a live bar on stderr; elsewhere it is plain lines. In a notebook it is one line, which is
overwritten as the study runs, so that the notebook is saved with the last one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import optuna
from optuna.trial import TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from search.record.extensions import Extension
from search.record.observer import Asked, Observer, Stop, Trained

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_UPDATES = 0.5
# The share of the time so far, so that a run of hours does not fill pages with lines that say the same.
_SHARE_BETWEEN_LINES = 0.05


class Progress:
    """Shows the number of finished trials, the epochs per second and the best value.

    Args:
        study: the Optuna study; its finished trials count as done.
        budget: the total number of trials.
        epochs: the largest number of epochs of a trial.
        width: the largest number of slots in a pack.
        extensions: returns the extensions of the study so far.
    """

    def __init__(
        self,
        study: optuna.Study,
        budget: int,
        epochs: int,
        width: int,
        extensions: Callable[[], Sequence[Extension]] = tuple,
    ) -> None:
        finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        self._budget, self._longest, self._width = budget, epochs, width
        self._extensions, self._announced = extensions, len(extensions())
        self._done = len(finished)
        self._best = min((t.values[0] for t in finished if t.state == TrialState.COMPLETE), default=None)
        self._pruned = sum(t.state == TrialState.PRUNED for t in finished)
        self._in_flight: dict[int, float] = {}
        self._console = Console(stderr=True)
        # In a notebook rich draws with ipywidgets, which may not be installed and are not saved with the notebook.
        self._notebook = _NotebookLine() if self._console.is_jupyter else None
        self._live = self._console.is_terminal and not self._console.is_jupyter
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._live,
            refresh_per_second=5,
        )
        self.epochs = 0
        self._waiting = False
        self._start = self._last_line = time.monotonic()
        self._between = _SECONDS_BETWEEN_LINES if self._notebook is None else _SECONDS_BETWEEN_UPDATES

    def __enter__(self) -> Progress:
        self._bar.start()
        self._task = self._bar.add_task("searching", total=self._budget, completed=self._done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._live and self.epochs:
            self._line()
        self._bar.stop()

    def asked(self, cohort: Sequence[Asked]) -> None:
        if not self._in_flight and not self.epochs:
            self._print(f"at most {self._width} slots train as one network")
        self._follow_extensions()
        asked = dict.fromkeys((one.number for one in cohort), 0.0)
        self._in_flight |= asked
        if not self._live:
            first, last = min(asked), max(asked)
            which = f"trials {first} to {last}" if first < last else f"trial {first}"
            self._print(f"training {which} of {self._budget}")

    def _follow_extensions(self) -> None:
        """Print the extensions since the last cohort, and add their trials to the total."""
        extensions = self._extensions()
        for extension in extensions[self._announced :]:
            self._print(str(extension))
            self._budget = max(self._budget, extension.budget)
        self._announced = len(extensions)
        self._bar.update(self._task, total=self._budget)

    def epoch(self, members: Sequence[Trained]) -> None:
        if not members and not self._waiting:
            self._waiting = True
            self._print("another process trains what is left: waiting for it")
        self.epochs += sum(member.replicates for member in members)
        for member in members:
            self._in_flight[member.number] = member.epoch / self._longest
        if self._live:
            self._bar.update(
                self._task, completed=int(self._done + sum(self._in_flight.values())), description=self._status()
            )
        else:
            now = time.monotonic()
            share = 0.0 if self._notebook is not None else _SHARE_BETWEEN_LINES
            if now - self._last_line > max(self._between, share * (now - self._start)):
                self._line()

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        self._in_flight.pop(number, None)
        self._done += 1
        self._pruned += state == TrialState.PRUNED
        if state == TrialState.COMPLETE and value is not None:
            self._best = value if self._best is None else min(self._best, value)

    def _status(self) -> str:
        best = "" if self._best is None else f"best {self._best:.4g}, "
        rate = self.epochs / max(time.monotonic() - self._start, 1e-9)
        shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"
        return f"{best}{self._pruned} pruned, {shown} epochs/s"

    def _line(self) -> None:
        self._last_line = time.monotonic()
        within = ""
        if any(self._in_flight.values()):
            low, high = (round(end(self._in_flight.values()) * self._longest) for end in (min, max))
            within = f"the next ones at epoch {f'{low:,} to ' if low < high else ''}{high:,}, "
        self._print(f"{self._done} of {self._budget} trials done, {within}{self._status()}")

    def _print(self, line: str) -> None:
        if self._notebook is None:
            self._console.print(line, highlight=False)
        else:
            self._notebook.show(line)


class _NotebookLine:
    """A line in the output of a notebook cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: str) -> None:
        """Replace the line before by this one."""
        import IPython.display

        display: Any = IPython.display.display  # untyped
        text = {"text/plain": line}
        if self._handle is None:
            self._handle = display(text, raw=True, display_id=True)
        else:
            self._handle.update(text, raw=True)


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
