"""Which engine trains: kernels compiled for this CPU, or torch. It follows from device, precision and machine alone.

On a GPU torch trains, with kernels in Triton for what takes torch several passes over the weights
(`search.train.fused`).
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Literal

import torch

from search.train.compiled import toolchain
from search.train.fused import toolchain as fused
from search.train.precision import Precision

Engine = Literal["compiled", "torch"]


def choose_engine(device: torch.device, precision: Precision) -> Engine:
    """Return the engine; say once if the CPU or a GPU has to do without kernels."""
    if device.type == "cuda" and torch.cuda.is_available() and (reason := fused.unavailable("cuda")) is not None:
        _say_slower(reason)
    if device.type != "cpu" or precision != "fp32":
        return "torch"
    if (reason := toolchain.unavailable()) is not None:
        _say_slower(reason)
        return "torch"
    return "compiled"


def describe_engine(device: torch.device, precision: Precision) -> str:
    """Return the engine as it is recorded, with the versions of the compilers, on which its bits depend."""
    engine = choose_engine(device, precision)
    if engine == "torch":
        return engine if fused.unavailable(device.type) is not None else f"{engine} (triton {fused.version()})"
    return f"{engine} ({', '.join(f'{name} {number}' for name, number in toolchain.versions().items())})"


@cache
def load_kernels(device: torch.device, precision: Precision) -> None:
    """Load the kernels in the background, before they are needed; the first time ever they are compiled."""
    if choose_engine(device, precision) == "compiled":
        threading.Thread(target=_prepare, name="kernels").start()


def _prepare() -> None:
    from search.train.compiled import warm

    warm.call_each_kernel()


@cache
def _say_slower(reason: str) -> None:
    print(f"note: {reason}: torch trains without compiled kernels, which takes longer", file=sys.stderr)
