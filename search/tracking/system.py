"""The load of the machine that trains, as points for the study's own run: MLflow's page has a tab for "system metrics".

MLflow's monitors measure it. They are read in the writer's own loop, not in a thread of MLflow's, so that only the
process whose turn it is writes to the store (`search.tracking.turn`). The GPU is measured if nvidia-ml-py is installed.
"""

from __future__ import annotations

import importlib
import time
from contextlib import suppress
from typing import Any

from search.tracking.plan import Point, loggable

PREFIX = "system/"
"""The start of the names of system metrics."""
_MONITORS = {
    "cpu_monitor": "CPUMonitor",
    "disk_monitor": "DiskMonitor",
    "network_monitor": "NetworkMonitor",
    "gpu_monitor": "GPUMonitor",
}


class SystemMetrics:
    """The load of this machine since the last look.

    Args:
        every: the fewest seconds between two points.
    """

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._monitors: list[Any] = []
        for module, name in _MONITORS.items():
            with suppress(Exception):  # without psutil, or without a GPU and its library
                monitor = getattr(importlib.import_module(f"mlflow.system_metrics.metrics.{module}"), name)()
                monitor.collect_metrics()  # the first look begins the period of the next
                monitor.clear_metrics()
                self._monitors.append(monitor)
        self._looked = time.monotonic()

    def points(self, start_ms: int) -> list[Point]:
        """Return the load since the last look as one point for each metric, or nothing if that is not long ago.

        Args:
            start_ms: the start of the study in ms since the Unix epoch. The step of a point is the number of seconds
                since then, so that it goes on where an earlier process has ended.
        """
        if time.monotonic() - self._looked < self._every:
            return []
        self._looked = time.monotonic()
        measured: dict[str, float] = {}
        for monitor in self._monitors:
            with suppress(Exception):
                monitor.collect_metrics()
                measured |= monitor.aggregate_metrics()
                monitor.clear_metrics()
        now = time.time_ns() // 1_000_000
        step = max(0, now - start_ms) // 1000
        return [
            Point(f"{PREFIX}{name}", float(value), now, step) for name, value in measured.items() if loggable(value)
        ]
