"""The observers of a run, such as the progress bar and the MLflow writer, and what they see of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import optuna
from optuna.trial import TrialState

from search.technique import Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Asked:
    """A trial to train: Optuna's handle on it, and all its values, including fixed ones."""

    trial: optuna.Trial
    values: Mapping[str, Value]

    @property
    def number(self) -> int:
        return self.trial.number


class Trained(Protocol):
    """A trial in training, as an observer reads it; see `search.train.cohort.Member`."""

    @property
    def number(self) -> int: ...

    @property
    def replicates(self) -> int: ...

    @property
    def epoch(self) -> int: ...

    @property
    def times(self) -> Sequence[int]: ...

    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]:
        """The curves by metric, ``epochs x replicates``; perhaps of the last epoch only."""
        ...


class Observer(Protocol):
    """An observer of a run, such as the progress bar or the MLflow writer."""

    def asked(self, cohort: Sequence[Asked]) -> None:
        """Called when the trials of a cohort begin or continue to train."""
        ...

    def epoch(self, members: Sequence[Trained]) -> None:
        """Called when these trials have completed an epoch, and without trials while only other processes train.

        The trials of one call share a program, and so have the same metrics.

        It may raise `Stop` to end the run.
        """
        ...

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        """Called when a trial has been told to Optuna, with its value if that is finite."""
        ...


class Stop(Exception):
    """Raised by an observer to end a run early; the next run adopts the trials in training."""
