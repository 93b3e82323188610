"""The room on a GPU for the packs that wait while another one trains.

Moving packs to the host and back at every rung takes time, so they stay on the GPU while there is room. On the CPU
nothing here has an effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch

from search.errors import EnvironmentFault, clip

if TYPE_CHECKING:
    from search.train.pack import Pack
    from search.train.program import Program

HOST = "cpu"


def free_bytes(device: torch.device) -> int:
    """Return the bytes that are free on a GPU. Those that torch has reserved and does not use are free too."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def is_roomy(device: torch.device) -> bool:
    """Return whether a GPU has more free memory than this process has ever used of it at a time.

    Any pack that has trained before then finds room beside those that wait. The CPU always has room.
    """
    return device.type == HOST or free_bytes(device) > torch.cuda.max_memory_allocated(device)


def waits_on(pack: Pack, device: torch.device) -> bool:
    """Return whether a pack that has trained before, and is to train on, has its state on the device."""
    # A pack that has not trained yet has no state: looking at it would create it.
    return pack.epoch > 0 and "theta" in pack.state and pack.state["theta"].device.type == device.type


def make_room(packs: Iterable[Pack], device: torch.device) -> bool:
    """Move packs that wait from a GPU to the host; return whether one was there."""
    if device.type == HOST:
        return False
    there = [pack for pack in packs if waits_on(pack, device)]
    for pack in there:
        pack.rest(HOST)
    return bool(there)


def no_room(program: Program, fault: str) -> EnvironmentFault:
    """Return the error that a device has no room for a single network of a program.

    Args:
        program: the program.
        fault: what torch says.
    """
    asked = ", ".join(f"{name} {program.structure[name]}" for name in ("hidden", "batch_size"))
    return EnvironmentFault(
        f"out of memory: the device has no room for a single network ({asked}): use a smaller --hidden, a smaller"
        f" --batch-size or --device cpu ({clip(fault, 200)})"
    )
