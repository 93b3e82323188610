"""A trial in training: the curves of its replicates so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.train.program import Program


@dataclass(eq=False)
class Member:
    """One trial in training.

    Attributes:
        number: the trial's number.
        program: the program, shared by all trials of its signature.
        values: the numeric hyperparameters by name.
        replicates: the number of replicates.
        times: the end of each epoch in milliseconds since the Unix epoch.
        stopped: for each replicate that a technique has stopped, the epoch of the stop and its metrics then; they stand
            for its later epochs while other replicates still train.
        ended: whether the trial trains no more: all its epochs are done, every replicate is stopped or not finite, or
            the trial was taken out (`Cohort.drop`).
    """

    number: int
    program: Program
    values: Mapping[str, float]
    replicates: int
    times: list[int] = field(default_factory=list)
    stopped: dict[int, tuple[int, Mapping[str, float]]] = field(default_factory=dict)
    ended: bool = False
    # By metric, with room for all epochs: the operating system provides only the memory that is written to.
    _curves: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]:
        """The curve of each metric, ``epochs x replicates``."""
        return {name: curve[: self.epoch] for name, curve in self._curves.items()}

    def add_epoch(self, metrics: Mapping[int, Mapping[str, float]], time: int) -> None:
        """Add the metrics of each replicate in the next epoch, which ended at `time`."""
        for name in metrics[0]:
            if name not in self._curves:
                self._curves[name] = np.empty((self.program.epochs, self.replicates))
            self._curves[name][self.epoch] = [metrics[replicate][name] for replicate in range(self.replicates)]
        self.times.append(time)

    def restore(
        self,
        curves: Mapping[str, NDArray[np.float64]],
        times: Sequence[int],
        stopped: Mapping[int, tuple[int, Mapping[str, float]]],
    ) -> None:
        """Return to the point at which these were the trial's `curves`, `times` and `stopped`."""
        self.times, self.stopped = list(times), dict(stopped)
        for name, curve in curves.items():
            self._curves[name] = np.empty((self.program.epochs, self.replicates))
            self._curves[name][: len(curve)] = curve

    @property
    def epoch(self) -> int:
        """The number of epochs that all replicates have trained."""
        return len(self.times)

    def table(self) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Return the names of the metrics and their curves, ``metrics x replicates x epochs``, as they are recorded."""
        curves = self.curves
        values = np.array(list(curves.values()), dtype=np.float32)
        return tuple(curves), values.transpose(0, 2, 1)
