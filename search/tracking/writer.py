"""The one process that imports mlflow: `python -m search.tracking.writer --study S --storage URL --tracking-uri URI`.

It shows the trials in training (the lines of `live.py` on its standard input), and makes the run of every finished
trial equal to the study: after each tell, and at the start and the end of its input. Its exit status is 0 if MLflow
equals the study; otherwise it is 1, and one line on stderr says why. `regsearch sync` does the last step on demand.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import queue
import signal
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING

from search.storage.tracking import EXPERIMENT
from search.tracking.live import AGAIN, Lines, Live
from search.tracking.reach import StorageAway, reason
from search.tracking.said import say
from search.tracking.turn import Turn

if TYPE_CHECKING:
    from search.tracking.sync import StudySync

_FLUSH = 10.0  # seconds between two steps if no trial ends
_SETTLE = 1.0  # seconds from a trial's end to the next step: the trials of a cohort end together
_QUIET = 5.0  # seconds of failures before a line reports them: a database may be locked for a moment


def main(arguments: list[str] | None = None) -> int:
    """Run the writer and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m search.tracking.writer", description=__doc__)
    parser.add_argument("--study", required=True, help="The name of the study.")
    parser.add_argument("--storage", required=True, help="The URL of the study's Optuna storage.")
    parser.add_argument("--tracking-uri", required=True, help="The tracking URI of MLflow.")
    parser.add_argument("--experiment", default=EXPERIMENT, help="The name of MLflow's experiment.")
    parser.add_argument("--patience", type=float, default=10.0, help="The seconds of failing before giving up.")
    options = parser.parse_args(arguments)
    _stand_back()
    silence_mlflow()
    lines, live = _Lines(), Live()
    try:
        with Turn(options.tracking_uri, options.storage, options.study, options.patience) as turn:
            if not turn.wait(lines, live):
                return 1
            # SQLAlchemy makes up to ten objects of each value, so collecting garbage as often as usual takes a third of
            # the time. This is set before the import, because most objects that the import makes stay.
            gc.set_threshold(200_000, 50, 100)
            from search.tracking.sync import StudySync  # it imports mlflow, which takes seconds: only in our turn
            from search.tracking.system import SystemMetrics

            gc.freeze()
            sync = StudySync(options.study, options.storage, options.tracking_uri, options.experiment, SystemMetrics())
            return Writer(lines, live, sync, turn, options.tracking_uri, options.patience).run()
    except Exception as error:
        # No traceback is printed, because this is only a view; the study holds everything.
        say(f"the MLflow writer failed ({reason(error)}): {AGAIN}")
        return 1


class _Lines:
    """The lines of standard input, read by a thread of its own, so that training never waits for MLflow."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ended = False
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        rest = b""
        # A buffered read in a daemon thread would crash the interpreter at its exit.
        with contextlib.suppress(OSError):
            while chunk := os.read(sys.stdin.fileno(), 1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._queue.put(line)
        self._queue.put(None)

    def take(self, live: Live, seconds: float) -> None:
        until = time.monotonic() + seconds
        settled = False
        while not self.ended:
            if live.told and not settled:
                until, settled = min(until, time.monotonic() + _SETTLE), True
            try:
                line = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                return
            if line is None:
                self.ended = True
            else:
                live.take(line)


class Writer:
    """The writer's loop: read lines, bring MLflow a step further, and try again after faults.

    Args:
        lines: the lines from the training side.
        live: the trials in training, with what waits to be logged.
        sync: the study and its view.
        turn: the turn to write, which this process has.
        uri: the URI of MLflow, for the line that is printed if it does not answer.
        patience: the seconds of failures, after the end of the lines, before giving up.
        advice: the end of that line.
    """

    def __init__(
        self,
        lines: Lines,
        live: Live,
        sync: StudySync,
        turn: Turn,
        uri: str,
        patience: float,
        advice: str = f"training goes on; {AGAIN}",
    ) -> None:
        self._lines, self._live, self._advice = lines, live, advice
        self._sync, self._turn = sync, turn
        self._uri = uri
        self._patience = patience
        self._failing_since: float | None = None
        self._failures = 0
        self._has_complained = False

    def run(self) -> int:
        """Write until the input has ended and MLflow equals the study or does not answer; return the exit status."""
        wait = 0.0
        while True:
            self._lines.take(self._live, wait)
            ended = self._lines.ended
            try:
                if not self._turn.kept(last=ended):
                    self._sync.forget()
                    if not self._turn.wait(self._lines, self._live):
                        return 1
                    continue
                idle = self._sync.go(self._live, ended=ended)
            except self._sync.FAULTS as error:
                if not self._failed(error, ended):
                    return 1
                wait = min(0.5 * 2**self._failures, 2.0 if ended else 30.0)
                if ended:
                    time.sleep(wait)
                continue
            self._failing_since, self._failures = None, 0
            if ended and idle:
                return self._verdict()
            wait = _FLUSH if idle else 0.0

    def _failed(self, error: Exception, ended: bool) -> bool:
        """Count a fault, and report it if it lasts; return whether to go on trying."""
        now = time.monotonic()
        if self._failing_since is None or self._sync.progressed:
            self._failing_since, self._failures = now, 0
        self._failures += 1
        self._sync.forget()
        failing = now - self._failing_since
        give_up = ended and failing >= self._patience
        if not self._has_complained and (give_up or failing >= _QUIET):
            self._has_complained = True
            away = (
                error if isinstance(error, StorageAway) else f"MLflow at {self._uri} is not answering ({reason(error)})"
            )
            say(f"{away}: {self._advice}")
        return not give_up

    def _verdict(self) -> int:
        for problem in self._sync.unreadable.values():
            say(f"not shown in MLflow: {problem}")
        return 1 if self._sync.unreadable else 0


def _stand_back() -> None:
    """Give training priority, and ignore signals: only the end of the input ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(10)


def silence_mlflow() -> None:
    """Quieten MLflow's logs, hints and retries; call this before mlflow is imported."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # MLflow and alembic log tracebacks of faults that are handled here
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # by default it retries for minutes; the writer does that itself
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }.items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    sys.exit(main())
