"""Which engine trains: kernels compiled for this CPU, or torch. It follows from device, precision and machine alone."""

from __future__ import annotations

import sys
from functools import cache
from typing import Literal

import torch

from search.train.compiled import toolchain
from search.train.precision import Precision

Engine = Literal["compiled", "torch"]


def choose_engine(device: torch.device, precision: Precision) -> Engine:
    """Return the engine; say once if the CPU has to do without kernels."""
    if device.type != "cpu" or precision != "fp32":
        return "torch"
    reason = toolchain.unavailable()
    if reason is not None:
        _say(reason)
    return "compiled" if reason is None else "torch"


@cache
def _say(reason: str) -> None:
    print(
        f"note: {reason}, so that torch trains without compiled kernels: results are as good, training is slower",
        file=sys.stderr,
    )
