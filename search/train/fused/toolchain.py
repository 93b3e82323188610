"""Whether the kernels for a GPU can be used here. Only the modules that have kernels import Triton."""

from __future__ import annotations

import os
from functools import cache
from importlib import metadata
from importlib.util import find_spec

import torch


def interpreted() -> bool:
    """Return whether Triton's interpreter is on, which runs the kernels on any machine, slowly (TRITON_INTERPRET=1)."""
    return os.environ.get("TRITON_INTERPRET") == "1"


def used(engine: str, device: str) -> bool:
    """Return whether packs that an engine trains on a type of device use the kernels."""
    return engine == "torch" and unavailable(device) is None


@cache
def unavailable(device: str) -> str | None:
    """Return why the kernels cannot be used on a type of device, None if they can."""
    if device != "cuda" and not (device == "cpu" and interpreted()):
        return f"kernels in Triton are for a GPU, not for {device}"
    if device == "cuda" and not torch.cuda.is_available():
        return "torch sees no CUDA device here"
    if find_spec("triton") is None:
        return "Triton is not installed"
    return _failure(device)


def _failure(device: str) -> str | None:
    """Return how a kernel fails, None if it runs: besides Triton it takes a C compiler and Python's headers."""
    number, *others = (torch.full((1,), 0.5, dtype=torch.float64, device=device) for _ in range(7))
    try:
        from search.train.fused import kernels  # it takes Triton

        kernels.advance[(1,)](number, *others, 1, BLOCK=kernels.SLOTS)
    except Exception as error:  # Triton and what it calls raise errors of many types
        return f"Triton does not work here ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    return None


def version() -> str:
    """Return the version of Triton, on which the bits of a result depend."""
    return metadata.version("triton")
