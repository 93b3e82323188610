"""Time several ways to train in one process: after a warm-up they take turns, each for about the same time."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch

Train = Callable[[int], None]
"""Trains so many epochs."""


@dataclass(frozen=True)
class Entrant:
    """One way to train.

    Attributes:
        networks: the number of networks that it trains at once.
        make: builds it, with all that has to be built only once.
    """

    networks: int
    make: Callable[[], Train]


@dataclass
class Lane:
    """An entrant in the race, and its times.

    Attributes:
        train: trains so many epochs.
        networks: the number of networks that it trains at once.
        warm_up: the seconds until it was built and had trained its first epoch.
        epochs: the number of epochs of a turn.
        taken: the seconds of an epoch in each turn.
    """

    train: Train
    networks: int
    warm_up: float
    epochs: int
    taken: list[float] = field(default_factory=list)


class Race:
    """Entrants that take turns.

    Args:
        entrants: the ways to train, by name.
        device: the device that they train on.
        turn: the seconds that a turn should take; it has at least one epoch. It must be short, because the machine's
            speed changes with time.

    Attributes:
        lanes: the entrants that still run, by name.
        failed: the errors of those that do not, by name.
    """

    def __init__(self, entrants: Mapping[str, Entrant], device: torch.device, turn: float) -> None:
        self.lanes: dict[str, Lane] = {}
        self.failed: dict[str, str] = {}
        self._device = device
        for name, entrant in entrants.items():
            self._guarded(name, partial(self._enter, name, entrant, turn))

    def turn(self) -> None:
        """Let each entrant train for one turn."""
        for name, lane in list(self.lanes.items()):
            self._guarded(name, partial(self._run, lane))

    def _enter(self, name: str, entrant: Entrant, turn: float) -> None:
        made: list[Train] = []

        def begin() -> None:
            made.append(entrant.make())
            made[0](1)

        warm_up = seconds(self._device, begin)
        train = made[0]
        one = seconds(self._device, partial(train, 1))
        self.lanes[name] = Lane(train, entrant.networks, warm_up, max(1, round(turn / one)))

    def _run(self, lane: Lane) -> None:
        lane.taken.append(seconds(self._device, partial(lane.train, lane.epochs)) / lane.epochs)

    def _guarded(self, name: str, work: Callable[[], None]) -> None:
        """Do some work of an entrant; one that fails is out of the race."""
        try:
            work()
        except Exception as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
            self.lanes.pop(name, None)
        if name in self.failed:
            gc.collect()
            if self._device.type == "cuda":
                torch.cuda.empty_cache()


def repeated(epoch: Callable[[], None]) -> Train:
    """Return what trains so many epochs by training one again and again."""

    def train(count: int) -> None:
        for _ in range(count):
            epoch()

    return train


def seconds(device: torch.device, work: Callable[[], None]) -> float:
    """Return the seconds until the device has done some work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
