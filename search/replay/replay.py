"""Train a trial again, alone, and compare it with its record: every metric, replicate and epoch.

    record --> the same recipe, hyperparameters, replicates --> train, alone --> compare --> same, or what differs

Where the bits of a result can be reproduced (on a CPU of the same type with the same torch), all of them must be the
same. Elsewhere the losses of the first epochs must agree within a tolerance. Later losses need not agree, because
training magnifies rounding errors. Accuracy and sparsity need not agree either, because a single row or weight may
exceed the tolerance. Some trials magnify rounding errors from their first steps on (Adam at a learning rate of 0.1 on
digits: 1e-7 becomes 0.3 in an epoch). To recognise them, the trial is trained once more with a learning rate that
differs in its last bit.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState

from search.errors import EnvironmentFault, RequestError
from search.record import environment
from search.record.curves import CURVES, Curves
from search.replay.result import HELD_EPOCHS, TOLERANCE, Difference, Replay
from search.study.identity import Mismatch
from search.study.progress import Log
from search.study.results import STATES
from search.study.retrain import Retraining, numbered_trial, retrain_curves
from search.train.crew import one_thread

if TYPE_CHECKING:
    from search.study.study import BaseStudy


@one_thread()
def replay(study: BaseStudy, trial: int, log: Log | None = None) -> Replay:
    """Train a finished trial again, alone, to as many epochs as its record has, and compare.

    Args:
        study: the study.
        trial: the number of the trial.
        log: gets a line for each difference between the environments, and lines on what is trained; by default they
            are shown on stderr.

    Raises:
        RequestError: there is no such trial, it has no record to compare with, or the study has other data or settings
            here.
        EnvironmentFault: the record can't be read.
    """
    try:
        opened = study.optuna_study
    except Mismatch as mismatch:
        raise RequestError(f"{mismatch}: a trial can be replayed only on the data and settings it had") from None
    recorded = numbered_trial(study, trial)
    record = _record(recorded)
    retraining = Retraining.of(study, trial, recorded.params, range(record.replicates))
    there, here = environment.recorded(opened, recorded), study.environment()
    if there.get("engine", "").partition(" ")[0] == "torch" and retraining.program.engine != "torch":
        # It can train here too: only kernels may be missing on a machine.
        in_torch = replace(retraining.program, engine="torch")
        retraining, here = replace(retraining, program=in_torch), here | {"engine": "torch"}
    mismatches = environment.mismatches(there, here)
    say = log or (lambda line: print(line, file=sys.stderr))
    for line in mismatches:
        say(line)
    what = f"training trial {trial} alone, {record.replicates} x {record.epochs} epochs, on {here['device']}"
    curves = retrain_curves(retraining, record.epochs, what, log)
    missing = [f"{name}: not in the record" for name in curves.metrics if name not in record.metrics]
    gone = [name for name in record.metrics if name not in curves.metrics]
    if len(retraining.program.techniques) < len(study.techniques):
        # Up to 0.1.0 a technique that was neutral for this trial only was trained, and recorded its metrics.
        for name in gone:
            say(f"{name}: in the record only, perhaps of a technique that does nothing in this trial")
    else:
        missing = [f"{name}: in the record only" for name in gone] + missing
    exact = environment.same_bits(there, here)
    result = Replay(
        study=study.name,
        trial=trial,
        state=STATES[recorded.state],
        metrics=len(record.metrics),
        replicates=record.replicates,
        epochs=record.epochs,
        exact=exact,
        tolerance=None if exact else TOLERANCE.get(study.recipe.precision),
        mismatches=mismatches,
        missing=missing,
        ended=curves.epochs,
        differences=differences(record, curves),
    )
    if not result.beyond:
        return result
    what = "training it once more with a learning rate that differs in its last bit"
    nudged = {**retraining.values, "lr": retraining.values["lr"] * (1 + 2**-23)}
    moved = differences(retrain_curves(replace(retraining, values=nudged), HELD_EPOCHS, what, log), curves)
    return replace(result, rounding=max((one.held for one in moved if one.is_loss), default=0.0))


def _record(trial: FrozenTrial) -> Curves:
    """Return the recorded curves of a finished trial."""
    number = trial.number
    if trial.state not in (TrialState.COMPLETE, TrialState.PRUNED):
        raise RequestError(f"trial {number} is {STATES[trial.state]}: give the number of a complete or pruned trial")
    if CURVES not in trial.user_attrs:
        raise RequestError(f"trial {number} has no curves to compare with")
    try:
        record = Curves.decode(trial.user_attrs[CURVES])
    except ValueError as error:
        raise EnvironmentFault(f"the record of trial {number} can't be read: {error}") from error
    if not record.values.size:
        raise RequestError(f"trial {number} has no curves to compare with")
    return record


def differences(record: Curves, curves: Curves) -> list[Difference]:
    """Return the metrics that both have and of which some bit differs, over the epochs that both have.

    NaN equals NaN.
    """
    found = []
    epochs = min(record.epochs, curves.epochs)
    for metric in (name for name in record.metrics if name in curves.metrics):
        was, now = record.of(metric)[:, :epochs], curves.of(metric)[:, :epochs]
        bits = was.view(np.uint32) != now.view(np.uint32)
        differs = bits & ~(np.isnan(was) & np.isnan(now))
        if not differs.any():
            continue
        absolute, relative = _distances(was.astype(np.float64), now.astype(np.float64), differs)
        epoch = int(differs.any(0).argmax())
        found.append(
            Difference(
                metric,
                values=int(differs.sum()),
                absolute=float(absolute.max()),
                relative=float(relative.max()),
                epoch=epoch + 1,
                replicate=int(differs[:, epoch].argmax()),
                held=float(relative[:, :HELD_EPOCHS].max()),
            )
        )
    return found


def _distances(
    one: NDArray[np.float64], other: NDArray[np.float64], differs: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return absolute and relative differences: 0 where the bits agree, infinite where a number is not finite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        absolute = np.abs(one - other)
        relative = absolute / np.maximum(np.abs(one), np.abs(other))
    far = ~(np.isfinite(one) & np.isfinite(other))
    absolute = np.where(differs, np.where(far, np.inf, absolute), 0.0)
    # The bits of 0.0 and -0.0 differ, but their difference is 0.
    return absolute, np.where(absolute > 0, np.where(far, np.inf, relative), 0.0)
