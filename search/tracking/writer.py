"""The one process that imports mlflow: `python -m search.tracking.writer --study S --storage URL --tracking-uri URI`.

It shows the trials in training live (the lines of `live.py` on its standard input) and makes the run of every finished
trial equal to the study: after each tell, at the start and at the end of its input. Exit status 0: MLflow is equal to
the study; 1: it is not, and one line on stderr says why. `python -m search.sync` does what is done at the end, by hand.
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

from search.tracking.live import AGAIN, Lines, Live
from search.tracking.reach import StorageAway, reason
from search.tracking.said import say
from search.tracking.turn import Turn

if TYPE_CHECKING:
    from search.tracking.sync import StudySync

_FLUSH = 5.0  # seconds between two goes at MLflow
_QUIET = 5.0  # seconds of failing before it is said: a database locked for a moment is no news


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m search.tracking.writer", description=__doc__)
    parser.add_argument("--study", required=True)
    parser.add_argument("--storage", required=True, help="URL of the study's Optuna storage")
    parser.add_argument("--tracking-uri", required=True)
    parser.add_argument("--experiment", default="regsearch")
    parser.add_argument("--patience", type=float, default=10.0, help="seconds of failing before giving up at the end")
    options = parser.parse_args(arguments)
    _stand_back()
    silence_mlflow()
    lines, live = _Lines(), Live()
    try:
        with Turn(options.tracking_uri, options.storage, options.study, options.patience) as turn:
            if not turn.wait(lines, live):
                return 1
            # SQLAlchemy makes an object or ten of each value: collecting as often as usual is a third of the time. Set
            # before the import: what that and the creation of MLflow's tables make mostly stays.
            gc.set_threshold(200_000, 50, 100)
            from search.tracking.sync import StudySync  # imports mlflow: seconds, and only where it is this one's turn

            gc.freeze()
            sync = StudySync(options.study, options.storage, options.tracking_uri, options.experiment)
            return Writer(lines, live, sync, turn, options.tracking_uri, options.patience).run()
    except Exception as error:
        # A view must not frighten anybody with a traceback: what matters is in the study.
        say(f"the MLflow writer failed ({reason(error)}): {AGAIN}")
        return 1


class _Lines:
    """Standard input, read by a thread of its own, so that the training side never waits for MLflow."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ended = False
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        rest = b""
        # Read without a buffer: a daemon thread inside a buffered read would be fatal to the interpreter's exit.
        with contextlib.suppress(OSError):
            while chunk := os.read(sys.stdin.fileno(), 1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._queue.put(line)
        self._queue.put(None)

    def take(self, live: Live, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.ended:
            try:
                line = self._queue.get(timeout=max(until - time.monotonic(), 0))
            except queue.Empty:
                return
            if line is None:
                self.ended = True
            else:
                live.take(line)


class Writer:
    """The loop: listen, have a go at MLflow, and be patient with it.

    Args:
        lines: what the training side says.
        live: what of it waits to be logged.
        sync: the study and its view.
        turn: has come.
        uri: MLflow's, for the line that says that it is not answering.
        patience: seconds of failing before giving up at the end.
        advice: what that line ends with.
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
        self._goes_failed = 0
        self._said = False

    def run(self) -> int:
        """Until the input has ended and MLflow is equal to the study, or does not answer."""
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
                wait = min(0.5 * 2**self._goes_failed, 2.0 if ended else 30.0)
                if ended:
                    time.sleep(wait)
                continue
            self._failing_since, self._goes_failed = None, 0
            if ended and idle:
                return self._verdict()
            wait = _FLUSH if idle else 0.0

    def _failed(self, error: Exception, ended: bool) -> bool:
        """Take note of a fault; whether to go on trying."""
        now = time.monotonic()
        if self._failing_since is None or self._sync.progressed:
            self._failing_since, self._goes_failed = now, 0
        self._goes_failed += 1
        self._sync.forget()
        failing = now - self._failing_since
        give_up = ended and failing >= self._patience
        if not self._said and (give_up or failing >= _QUIET):
            self._said = True
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
    """Set the process up: training first, and no end but that of the input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(10)


def silence_mlflow() -> None:
    """Before mlflow is imported: it keeps its logs, its advertisements and its patience to itself."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name, value in {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # MLflow logs tracebacks of faults that are dealt with here; alembic's too
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default's back-off blocks for minutes; patience is kept here
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    }.items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    sys.exit(main())
