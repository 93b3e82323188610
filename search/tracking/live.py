"""The lines from training to the writer process, and the points that wait to be logged.

The training side (`link.py`) writes one JSON object a line to the writer's standard input, whose end means "finish":

    {"event": "started", "trial": 12, "name": "trial-12 l2=3.1e-4", "params": {"l2": 3.1e-4}, "epochs": 50, "start": ms}
    {"event": "epoch", "trials": [12, 13], "epochs": [7, 7], "time": ms, "metrics": {"val_loss": [0.3, 0.4]}}
    {"event": "told", "trial": 12}

Lines may be lost (a full queue, a killed process). They only show the trials in training; MLflow is completed from the
record of the study.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from search.cli import invocation
from search.tracking.plan import Point, clean_key, live_epochs, loggable

AGAIN = f"run the command again, or {invocation.command('sync')}, to bring MLflow up to date"
"""The advice that both sides print if MLflow could not be brought up to date."""


@dataclass
class LiveTrial:
    """A trial in training: the name of its run, and the points that are not logged yet."""

    name: str
    params: Mapping[str, Any]
    epochs: int
    start_ms: int
    points: list[Point] = field(default_factory=list)
    announced: bool = False


class Live:
    """The trials in training. Each holds at most its thinned points, so this stays small however slow MLflow is."""

    def __init__(self) -> None:
        self.trials: dict[int, LiveTrial] = {}
        self.told: set[int] = set()

    def take(self, line: bytes) -> None:
        """Read one line; a damaged or unknown line is skipped, because the record will make up for it."""
        try:
            event = json.loads(line)
            match event["event"]:
                case "started":
                    self.trials[event["trial"]] = LiveTrial(
                        event["name"], event["params"], int(event["epochs"]), int(event["start"])
                    )
                case "epoch":
                    self._epoch(event["trials"], event["epochs"], int(event["time"]), event["metrics"])
                case "told":
                    # The points that still wait are in the record too, and are logged from there.
                    self.trials.pop(event["trial"], None)
                    self.told.add(int(event["trial"]))
        except (ValueError, KeyError, TypeError, IndexError):
            return

    def _epoch(self, trials: list[int], epochs: list[int], time_ms: int, metrics: dict[str, list[float]]) -> None:
        for place, (number, epoch) in enumerate(zip(trials, epochs, strict=True)):
            trial = self.trials.get(number)
            if trial is None:
                continue
            for metric, values in metrics.items():
                if epoch in live_epochs(metric, trial.epochs) and loggable(values[place]):
                    trial.points.append(Point(clean_key(metric), values[place], time_ms, epoch))


class Lines(Protocol):
    """The lines from the training side, as they come.

    Attributes:
        ended: whether there will be no more.
    """

    @property
    def ended(self) -> bool: ...

    def take(self, live: Live, seconds: float) -> None:
        """Pass the lines that come within so many seconds to `live`; return early if there will be no more."""
        ...
