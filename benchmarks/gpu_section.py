"""The result of `gpu.py` as it grows: a JSON file that each section adds its rows to, as soon as each is measured."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measure
import torch

OUT_OF_TIME = "not run: the section's share of the time was used up"
NO_CUDA = "not run: no CUDA device"
_TRACEBACK = 2000  # characters


def load(path: Path) -> dict[str, Any]:
    """Return the result so far."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def tell(path: Path, section: str | None = None, **fields: Any) -> None:
    """Write fields of the result, or of one of its sections."""
    result = load(path)
    (result if section is None else result["sections"][section]).update(fields)
    measure.replace(path, result)


@dataclass(frozen=True)
class Section:
    """A section of the result, in the process that measures it.

    Attributes:
        path: the file of the result.
        name: the section's name.
        device: the device.
        small: whether to try the script on tiny networks.
        until: when the section's share of the time is used up, in seconds of `time.monotonic`.
    """

    path: Path
    name: str
    device: torch.device
    small: bool
    until: float

    @property
    def left(self) -> float:
        """The seconds that are left of the section's share of the time."""
        return self.until - time.monotonic()

    def tell(self, **fields: Any) -> None:
        """Write fields of the section."""
        tell(self.path, self.name, **fields)

    def row(self, what: Mapping[str, Any], work: Callable[[], Mapping[str, Any]], least: float = 0.0) -> float:
        """Measure one row and write it; a row that fails has its error. Return the seconds that it took.

        Args:
            what: what is measured.
            work: measures it, and returns the figures.
            least: the seconds that must be left; otherwise the row is not measured.
        """
        started = time.monotonic()
        if self.left <= least:
            found: Mapping[str, Any] = {"status": OUT_OF_TIME}
        else:
            try:
                found = {"status": "measured", **work()}
            except Exception as error:
                found = failed(error)
        rows = load(self.path)["sections"][self.name]["rows"]
        took = time.monotonic() - started
        self.tell(rows=[*rows, {**what, **found, "seconds_of_the_row": took}])
        return took


def failed(error: Exception) -> dict[str, str]:
    """Return the fields of what an exception has ended."""
    lines = "".join(traceback.format_exception(error))
    return {"status": f"error: {type(error).__name__}: {error}", "traceback": lines[-_TRACEBACK:]}
