"""The observer that keeps MLflow's view of a study: it hands every epoch and result to the writer process."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from search.record.link import WriterLink
from search.record.plan import trial_name

if TYPE_CHECKING:
    from search.choose.asking import Asked
    from search.train.cohort import Member


class MlflowMirror:
    """As a context: starts the writer, and on a normal exit waits until MLflow is up to date, saying so.

    Args:
        study: the Optuna study's name.
        storage: its storage's URL.
        tracking_uri: MLflow's.
    """

    def __init__(self, study: str, storage: str, tracking_uri: str) -> None:
        self._arguments = {"study": study, "storage": storage, "tracking_uri": tracking_uri}

    def __enter__(self) -> MlflowMirror:
        self._link = WriterLink(**self._arguments)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            print("bringing MLflow up to date ...", file=sys.stderr, flush=True)
        start = time.monotonic()
        if self._link.close(wait=kind is None):
            print(f"MLflow is up to date ({time.monotonic() - start:.1f} s)", file=sys.stderr, flush=True)

    def asked(self, cohort: Sequence[Asked]) -> None:
        for one in cohort:
            trial = one.trial
            start = trial.datetime_start
            assert start is not None
            planned = int(trial.user_attrs["epochs"])
            name = trial_name(trial.number, trial.params)
            self._link.started(trial.number, name, trial.params, planned, round(start.timestamp() * 1000))

    def epoch(self, members: Sequence[Member]) -> None:
        if not members:
            return
        curves = [member.curves for member in members]
        metrics = {name: [_mean(one[name][-1].tolist()) for one in curves] for name in curves[0]}
        numbers, epochs = [m.number for m in members], [m.epoch for m in members]
        self._link.epoch(numbers, epochs, members[0].times[-1], metrics)

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        del state, value
        self._link.told(number)


def _mean(values: list[float]) -> float:
    """The mean of a few values: a tenth of what NumPy takes for it, many times an epoch."""
    return sum(values) / len(values)
