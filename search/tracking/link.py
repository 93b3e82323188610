"""The training side's link to the writer process: it imports neither mlflow nor pandas, and training never waits."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from search.cli import child
from search.storage.tracking import EXPERIMENT
from search.tracking.live import AGAIN

_LINES = 2000  # lines that may wait before epochs are dropped: some 10 MB, several seconds of the fastest training


class WriterLink:
    """Starts the process that writes a study's MLflow view, and sends it lines; `live.py` describes them.

    Args:
        study: the name of the Optuna study, which must exist.
        storage: the URL of its storage.
        tracking_uri: the URI of MLflow.
        experiment: MLflow's experiment for the runs.

    No method raises an error if the writer cannot be started or has died: one line on stderr says so, and training
    goes on.
    """

    def __init__(self, *, study: str, storage: str, tracking_uri: str, experiment: str = EXPERIMENT) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue(_LINES)
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False
        self._lost = False
        command = [sys.executable, "-m", "search.tracking.writer", "--study", study, "--storage", storage]
        command += ["--tracking-uri", tracking_uri, "--experiment", experiment]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,  # stdout belongs to the command's results
                bufsize=0,  # a buffered write in a daemon thread would crash the interpreter at its exit
                env=child.environment(),
                start_new_session=True,  # neither Ctrl-C nor the closing of the terminal reaches the writer
            )
        except OSError as error:
            self._say(f"cannot be started ({error})")
            return
        self._feeder = threading.Thread(target=self._feed, args=(self._process,), name="mlflow-link", daemon=True)
        self._feeder.start()

    def started(self, trial: int, name: str, params: Mapping[str, Any], epochs: int, start_ms: int) -> None:
        """Report that a trial begins, or is adopted after a crash.

        Args:
            trial: the number of the trial.
            name: the name of its run, `search.show.text.trial_name(...)`.
            params: Optuna's `trial.params`.
            epochs: the number of planned epochs, which must equal the trial's attribute `curves.EPOCHS`.
            start_ms: Optuna's `trial.datetime_start` in ms since the Unix epoch.
        """
        line = {"event": "started", "trial": trial, "name": name, "params": dict(params), "epochs": epochs}
        self._put(line | {"start": start_ms})

    def epoch(
        self, trials: Sequence[int], epochs: Sequence[int], time_ms: int, metrics: Mapping[str, Sequence[float]]
    ) -> None:
        """Report that an epoch of a pack has ended; the line is dropped if the writer does not keep up.

        Args:
            trials: the numbers of the trials.
            epochs: the epoch of each trial, counted from 1.
            time_ms: the time in ms since the Unix epoch, which must become the epoch's entry in `curves.TIMES`.
            metrics: by metric, the mean over replicates for each trial; only metrics that the record holds too.
        """
        values = {metric: [float(value) for value in of_trials] for metric, of_trials in metrics.items()}
        numbers, local = [int(number) for number in trials], [int(epoch) for epoch in epochs]
        self._put({"event": "epoch", "trials": numbers, "epochs": local, "time": int(time_ms), "metrics": values})

    def told(self, trial: int) -> None:
        """Report that a trial's result is in the storage, so that its run can be completed."""
        self._put({"event": "told", "trial": trial})

    def close(self, *, wait: bool) -> bool:
        """End the lines; the writer then writes what is left.

        Args:
            wait: whether to wait for it (a normal exit), or to return at once (Ctrl-C) while it goes on by itself.

        Returns:
            Whether MLflow is known to be up to date.
        """
        if self._process is None:
            return False
        if not self._closing:
            self._closing = True
            self._end(wait)
        if wait:
            self._feeder.join()
            return self._process.wait() == 0
        # A child that nobody waits for stays a zombie for as long as this process lives.
        threading.Thread(target=self._process.wait, name="mlflow-link-reaper", daemon=True).start()
        return False

    def _end(self, wait: bool) -> None:
        """Queue the end of the lines; if there is no time to wait, other lines make room for it."""
        if wait:
            self._lines.put(None)
            return
        while True:
            try:
                self._lines.put_nowait(None)
                return
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._lines.get_nowait()

    def _put(self, line: Mapping[str, Any]) -> None:
        if self._process is None or self._lost or self._closing:
            return
        if self._lines.full():  # not worth the encoding
            return
        # Dropped lines are not lost: the writer completes every run from the study at the end.
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(json.dumps(line, default=str).encode() + b"\n")

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """Write the lines into the pipe until they end, or until nobody reads them."""
        pipe = process.stdin
        if pipe is None:
            return
        while (line := self._lines.get()) is not None:
            if self._lost:
                continue
            try:
                rest = memoryview(line)
                while rest:
                    rest = rest[pipe.write(rest) :]
            except OSError:
                self._lost = True
                self._say("has stopped")
        with contextlib.suppress(OSError):
            pipe.close()

    def _say(self, what: str) -> None:
        print(f"the MLflow writer {what}: training goes on; {AGAIN}", file=sys.stderr, flush=True)
