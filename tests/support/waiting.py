"""Waiting in tests for a condition, never for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = 60, *, state: Callable[[], str] | None = None) -> T:
    """Wait until a condition is true, and return its value.

    Args:
        condition: a function that is called again and again, 0.05 s apart.
        seconds: the longest wait.
        state: a function that describes what is there instead, for the error.

    Raises:
        TimeoutError: The condition has not become true in time.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            waited = f"waited {seconds:g} s in vain"
            raise TimeoutError(waited if state is None else f"{waited}: {state()}")
        time.sleep(0.05)
    return value
