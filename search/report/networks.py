"""Trials' networks, trained again: what a record of curves cannot tell of weights and of the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from search.report.record import Entry, Floats, Record
from search.report.strength import strengths, weakest
from search.train.crew import side_by_side, threads
from search.train.pack import Pack, Slot
from search.train.sampling import best_networks

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
    other = least(record)
    jobs = [_job(study, record.best, replicate) for replicate in range(record.replicates)]
    jobs += [_job(study, other, 0)] if other is not None else []
    workers = threads(study.device)
    before = torch.get_num_threads()
    # Threads that share the products of so small a pack take many times as long wherever the cores are busy.
    torch.set_num_threads(1)
    try:
        trained = {(entry, pack.slots[0].replicate): pack for entry, pack in side_by_side(jobs, workers)}
    finally:
        torch.set_num_threads(before)
    best = [
        trained[record.best, replicate] for replicate in range(record.replicates) if (record.best, replicate) in trained
    ]
    told = [("least regularised", other), ("best", record.best)]
    firsts = [(what, one, trained[one, 0]) for what, one in told if one is not None and (one, 0) in trained]
    return Networks([(what, one, _weights(pack)) for what, one, pack in firsts], best)


def _job(study: BaseStudy, entry: Entry, replicate: int) -> Callable[[], Iterator[tuple[Entry, Pack]]]:
    """One replicate of a trial; a slot is the same alone as beside others."""
    values = study.space.complete(entry.params)
    assert values is not None
    program, batches, slot = study.program(values), study.batches, Slot(entry.number, replicate, study.numeric(values))

    def job() -> Iterator[tuple[Entry, Pack]]:
        for pack, _ in best_networks(program, batches, [slot]):
            yield entry, pack

    return job


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
