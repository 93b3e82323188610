"""Trials' networks, trained again: what a record of curves cannot tell of weights and of the test split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from search.report.record import Entry, Floats, Record
from search.report.strength import strengths, weakest
from search.study.retrain import Retraining, retrain
from search.train.pack import Pack

if TYPE_CHECKING:
    from search.study.study import BaseStudy

CHEAP = 120.0
"""Seconds of training that a report may take without being asked."""


@dataclass(frozen=True)
class Networks:
    """What was trained again.

    Attributes:
        weights: of linear layers, biases left out: by what the trial is, and the trial, of its first replicate.
        best: the best trial's networks, one for each replicate that ever had a finite loss.
    """

    weights: Sequence[tuple[str, Entry, Floats]]
    best: Sequence[Pack]


@dataclass(frozen=True)
class HeldOut:
    """The best trial on the test split.

    Attributes:
        loss, score: of each replicate ``(replicates,)``; the score is an accuracy, or a root mean squared error.
        truth, predicted: of the first replicate: class numbers ``(rows,)``, or ``rows x outputs`` in the user's units.
        readings: how many times the test split has been read, this one included.
    """

    loss: Floats
    score: Floats
    truth: NDArray[np.generic]
    predicted: NDArray[np.generic]
    readings: int


def least(record: Record) -> Entry | None:
    """The complete trial that is regularised least, if that is not the best one itself."""
    if not strengths(record):
        return None
    found = weakest(record)
    return None if found is record.best else found


def seconds(record: Record) -> float:
    """About how long `train` takes: what the trials took beside their cohorts, which alone they will not exceed."""
    other = least(record)
    return record.best.seconds + (other.seconds if other else 0.0)


def train(study: BaseStudy, record: Record) -> Networks:
    """The best trial's networks, and the least regularised one's."""
    best, other = record.best, least(record)
    retrainings = [Retraining.of(study, best.number, best.params, range(record.replicates))]
    if other is not None:
        retrainings.append(Retraining.of(study, other.number, other.params, [0]))
    packs = {(trial, replicate): pack for trial, replicate, pack, _ in retrain(retrainings)}
    networks = [packs[best.number, each] for each in range(record.replicates) if (best.number, each) in packs]
    weights = [
        (what, entry, _weights(packs[entry.number, 0]))
        for what, entry in (("least regularised", other), ("best", best))
        if entry is not None and (entry.number, 0) in packs
    ]
    return Networks(weights, networks)


def _weights(pack: Pack) -> Floats:
    tensors = pack.weights(0).values()
    return np.concatenate([one.double().cpu().numpy().ravel() for one in tensors if one.ndim == 2])


def read_test(study: BaseStudy, packs: Sequence[Pack], count: int) -> HeldOut:
    """Score networks on the test split; `count` is what the reading counts as."""
    batches = study.batches
    scores = [pack.score(batches.x_test, batches.y_test) for pack in packs]
    loss, score = (np.array([float(one[which][0]) for one in scores]) for which in (0, 1))
    made = packs[0].predict(batches.x_test)[0, :, : study.data.outputs].double().cpu()
    truth, predicted = study.data.y_test, made
    if study.data.targets is None:
        predicted = made.argmax(1)
    else:
        truth, predicted = (study.data.targets.invert(one.double().cpu()) for one in (truth, made))
    return HeldOut(loss, score, truth.cpu().numpy(), predicted.numpy(), count)
