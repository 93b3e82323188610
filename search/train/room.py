"""The room on a GPU for the packs that wait while another one trains.

Moving packs to the host and back at every rung takes time, so they stay on the GPU while there is room for all of them
and for what the largest one needs to train. On the CPU nothing here has an effect.
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


class Room:
    """What the packs of a cohort have needed of a device so far.

    Args:
        device: the device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._most = device, 0

    def begin(self) -> None:
        """Begin to measure: a pack is about to train."""
        if self._device.type != HOST:
            torch.cuda.reset_peak_memory_stats(self._device)

    def end(self, pack: Pack) -> None:
        """Note what a pack has needed since `begin`; it is at rest now."""
        if self._device.type != HOST:
            at_rest = sum(value.nbytes for value in pack.state.values())
            training = torch.cuda.max_memory_allocated(self._device) - torch.cuda.memory_allocated(self._device)
            self._most = max(self._most, at_rest + training)

    def is_roomy(self) -> bool:
        """Return whether any pack that has trained finds room beside those that wait. The CPU always has room."""
        return self._device.type == HOST or free_bytes(self._device) > self._most


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
