"""The GPUs that the workers of a machine take in turn."""

from __future__ import annotations

import os

import torch

from search.errors import counted

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that names the GPUs which a process sees; it calls the first of them cuda:0."""


def in_turn(device: str) -> list[str]:
    """Return the GPUs that workers take in turn, as `VISIBLE` names them.

    There are none if this process sees fewer than two, or if the device is the CPU or one GPU, such as "cuda:1".
    """
    if device not in ("auto", "cuda") or (count := torch.cuda.device_count()) < 2:
        return []
    if seen := os.environ.get(VISIBLE):
        return [name.strip() for name in seen.split(",")][:count]
    return [str(number) for number in range(count)]


def notes(workers: int, device: str) -> list[str]:
    """Return what a user should know about the GPUs of so many workers, a line each."""
    if workers == 1 or not (gpus := in_turn(device)):
        return []
    idle = len(gpus) - workers
    left = f", so {idle} of them {'stays' if idle == 1 else 'stay'} idle" if idle > 0 else ""
    shared = f"{counted(workers, 'worker')} take {counted(len(gpus), 'GPU')} in turn{left}"
    return [f"{shared}: for one of them give --device cuda:0, for some of them set {VISIBLE}"]
