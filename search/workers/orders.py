"""What a command has its workers run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Orders:
    """What a worker is to run, as JSON can hold it.

    Attributes:
        recipe: with every change, as the storage keeps it.
        name, storage, device, slots, checkpoint, data_dir, offline, techniques: as `Study` takes them.
        budget, extend: as `Study.run` does.
        until: when to stop, in seconds since the Unix epoch: a worker may wait long for its place.
        threads: of the CPU; the engine's choice, as the device may be.
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
    budget: int
    until: float | None
    extend: bool
    threads: int = 1

    def line(self) -> str:
        """As a worker reads it."""
        return json.dumps(asdict(self)) + "\n"
