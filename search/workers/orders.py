"""The orders that a command gives to each of its workers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

ENGINES = ("local", "ray")
"""Where workers run: on this machine, or on a Ray cluster."""


@dataclass(frozen=True)
class Orders:
    """The study that a worker runs, as JSON can hold it.

    Attributes:
        recipe: the recipe with every change, as the storage keeps it.
        name, storage, device, slots, checkpoint, data_dir, offline, techniques, metrics: the arguments of `Study`.
        budget, extend: the arguments of `Study.run`.
        deadline: the time at which to stop, in seconds since the Unix epoch; a worker may wait long for a place.
        threads: the number of cores that the worker may use; the engine sets it, and may set the device.
    """

    recipe: dict[str, Any]
    name: str
    storage: str
    device: str
    slots: int | str
    checkpoint: bool
    data_dir: str
    offline: bool
    techniques: list[str]
    metrics: list[str]
    budget: int
    deadline: float | None
    extend: bool
    threads: int = 1

    def line(self) -> str:
        """Return the orders as the line that a worker reads."""
        return json.dumps(asdict(self)) + "\n"
