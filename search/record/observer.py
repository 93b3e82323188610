"""Who watches a study, and what is seen of it: the progress bar, the MLflow writer, a worker's line to its command."""

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
    """A trial that is to be trained: Optuna's handle on it and all its values, fixed ones too."""

    trial: optuna.Trial
    values: Mapping[str, Value]

    @property
    def number(self) -> int:
        return self.trial.number


class Trained(Protocol):
    """What an observer reads of a trial in training; see `Member`."""

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
        """By metric, ``epochs x replicates``; not more than the last epoch may be there."""
        ...


class Observer(Protocol):
    """Someone who watches a study: the progress bar, the MLflow writer."""

    def asked(self, cohort: Sequence[Asked]) -> None: ...

    def epoch(self, members: Sequence[Trained]) -> None:
        """These trials have completed an epoch; none while others train. May raise `Stop` to end the run here."""
        ...

    def told(self, number: int, state: TrialState, value: float | None) -> None: ...


class Stop(Exception):
    """Raised by an observer to end a run early; trials in flight are adopted by the next run."""
