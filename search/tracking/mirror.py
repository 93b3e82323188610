"""The observer for MLflow's view of a study: it passes every epoch and result to the writer process."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from optuna.trial import TrialState

from search.record.objectives import Objectives
from search.record.stored import stored_recipe
from search.show.text import trial_name
from search.storage.tracking import EXPERIMENT
from search.tracking.link import WriterLink
from search.tracking.plan import setting_name, so_far
from search.train.metrics.objective import VAL_LOSS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from search.record.observer import Asked, Trained


class MlflowMirror:
    """A context that starts the writer, and on a normal exit waits until MLflow is up to date and says so.

    Args:
        study: the name of the Optuna study.
        storage: the URL of its storage.
        tracking_uri: the URI of MLflow.
        experiment: MLflow's experiment for the runs.
    """

    def __init__(self, study: str, storage: str, tracking_uri: str, experiment: str = EXPERIMENT) -> None:
        self._arguments = {
            "study": study,
            "storage": storage,
            "tracking_uri": tracking_uri,
            "experiment": experiment,
        }
        self._aim = VAL_LOSS
        self._least: dict[
            int, list[float]
        ] = {}  # for each trial in training: the best objective by replicate, as a loss

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
        recipe = stored_recipe(cohort[0].trial.study.user_attrs) if cohort else {}
        if cohort:
            self._aim = Objectives.stored(recipe, cohort[0].trial.study.directions).first
        for one in cohort:
            trial = one.trial
            start = trial.datetime_start
            assert start is not None
            planned = int(trial.user_attrs["epochs"])
            name = trial_name(trial.number, trial.params, setting_name(trial.user_attrs, recipe))
            self._least.pop(trial.number, None)  # it may be trained again after a worker's death
            self._link.started(trial.number, name, trial.params, planned, round(start.timestamp() * 1000))

    def epoch(self, members: Sequence[Trained]) -> None:
        if not members:
            return
        curves = [member.curves for member in members]
        # The objective comes first, as in the record: MLflow keeps the order in which it first met a run's metrics.
        best = [self._so_far(member.number, one) for member, one in zip(members, curves, strict=True)]
        metrics = {so_far(self._aim.name): best}
        metrics |= {name: [_mean(one[name][-1].tolist()) for one in curves] for name in curves[0]}
        numbers, epochs = [m.number for m in members], [m.epoch for m in members]
        self._link.epoch(numbers, epochs, members[0].times[-1], metrics)

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        del state, value
        self._least.pop(number, None)
        self._link.told(number)

    def _so_far(self, number: int, curves: Mapping[str, NDArray[np.float64]]) -> float:
        """Return `summary.objective_so_far` after the last epoch, from curves ``epochs x replicates``."""
        values, losses = curves[self._aim.name], curves["val_loss"]
        # A trial that is seen for the first time may have trained before, up to a checkpoint.
        first = -1 if number in self._least else 0
        least = self._least.get(number, [math.inf] * values.shape[1])
        for epoch, of_epoch in zip(self._aim.loss(values[first:]).tolist(), losses[first:].tolist(), strict=True):
            known = [
                value if math.isfinite(value) and math.isfinite(loss) else math.inf
                for value, loss in zip(epoch, of_epoch, strict=True)
            ]
            if self._aim.common:
                known = [_mean(known)] * len(known)
            least = list(map(min, known, least))
        self._least[number] = least
        return self._aim.loss(_mean(least))


def _mean(values: list[float]) -> float:
    """Return the mean of a few values in a tenth of NumPy's time, because it is needed many times an epoch."""
    return sum(values) / len(values)
