"""The events that a worker sends to its command: the calls of an observer as lines of JSON, and back again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import TrialState

from search.record.observer import Asked, Observer, Trained


class Teller:
    """The observer in a worker: it writes each call as a line."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._known: set[int] = set()

    def asked(self, cohort: Sequence[Asked]) -> None:
        self._line({"event": "asked", "trials": [one.number for one in cohort]})

    def epoch(self, members: Sequence[Trained]) -> None:
        self._line({"event": "epoch", "members": [self._member(one) for one in members]})

    def _member(self, one: Trained) -> dict[str, Any]:
        # A trial that is seen for the first time may have trained before, up to a checkpoint.
        new = -1 if one.number in self._known else 0
        self._known.add(one.number)
        curves = {name: curve[new:].tolist() for name, curve in one.curves.items()}
        return {"trial": one.number, "epoch": one.epoch, "time": one.times[-1], "curves": curves}

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        self._line({"event": "told", "trial": number, "state": state.name, "value": value})

    def _line(self, event: Mapping[str, Any]) -> None:
        self._write(json.dumps(event))


@dataclass(frozen=True)
class Told:
    """A trial in training, as a worker has reported it.

    Attributes:
        curves: the curves by metric, ``epochs x replicates``: only the latest epoch, except in the first report.
    """

    number: int
    epoch: int
    times: Sequence[int]
    curves: Mapping[str, NDArray[np.float64]]

    @property
    def replicates(self) -> int:
        return int(next(iter(self.curves.values())).shape[1])


def pass_on(line: Mapping[str, Any], handle: Callable[[int], optuna.Trial], observer: Observer) -> None:
    """Call an observer as the worker's was called; `handle` returns Optuna's handle on a trial, by its number."""
    match line["event"]:
        case "asked":
            observer.asked([Asked(handle(number), {}) for number in line["trials"]])
        case "epoch" if line["members"]:  # without members the worker waits for another one
            observer.epoch([_member(one) for one in line["members"]])
        case "told":
            observer.told(line["trial"], TrialState[line["state"]], line["value"])


def _member(one: Mapping[str, Any]) -> Told:
    curves = {name: np.array(rows, dtype=np.float64) for name, rows in one["curves"].items()}
    return Told(one["trial"], one["epoch"], [one["time"]], curves)
