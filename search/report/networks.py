"""The networks of trials, trained again for what curves cannot show: the weights, and the loss on the test split."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from search.report.record import Entry, Floats, Record
from search.report.strength import strengths, weakest
from search.study.retrain import Retraining, retrain
from search.train import evaluate
from search.train.metrics.bootstrap import Bootstrapped, bootstrap, draw
from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric
from search.train.pack import Pack

if TYPE_CHECKING:
    from search.study.study import BaseStudy

CHEAP = 120.0
"""The longest that a report trains these networks without being asked, in seconds."""
_WITH_PARTS = 1.875  # the rows of a training and of those on an eighth, a quarter and half of the rows


@dataclass(frozen=True)
class Networks:
    """The networks that were trained again.

    Attributes:
        weights: the role of each trial, the trial, and the weights of its first replicate's linear layers, without
            biases.
        best: the best trial's networks, one for each replicate that ever had a finite loss.
    """

    weights: Sequence[tuple[str, Entry, Floats]]
    best: Sequence[Pack]


@dataclass(frozen=True)
class HeldOut:
    """The results of the best trial on the test split.

    Attributes:
        loss: the loss of each replicate, ``(replicates,)``.
        score: the accuracy or the root mean squared error of each replicate, ``(replicates,)``.
        truth: the classes ``(rows,)``, or the targets ``rows x outputs`` in the units of the data.
        predicted: the predictions of the first replicate, in the same form.
        readings: how many times the test split has been read, this time included.
        interval: the 95% interval of the mean score, over rows and replicates.
        classes: the names of the classes; () in regression.
        probabilities: the probabilities of the first replicate, ``rows x classes``; None in regression.
        objective: the first objective on the test split with its interval; None where it is the loss or the score.
    """

    loss: Floats
    score: Floats
    truth: NDArray[np.generic]
    predicted: NDArray[np.generic]
    readings: int
    interval: tuple[float, float] = (math.nan, math.nan)
    classes: Sequence[str] = ()
    probabilities: Floats | None = None
    objective: Bootstrapped | None = None

    @property
    def times_read(self) -> str:
        """How often the test split has been read, in words."""
        return "once" if self.readings == 1 else f"{self.readings:,} times"


def least(record: Record) -> Entry | None:
    """Return the least regularised complete trial, or None if that is the best one itself."""
    if not strengths(record):
        return None
    entry = weakest(record)
    return None if entry is record.best else entry


def seconds(record: Record) -> float:
    """Return about how long `train` and a learning curve take: as long as the trials took in their cohorts, or less."""
    other = least(record)
    return _WITH_PARTS * record.best.seconds + (other.seconds if other else 0.0)


def train(study: BaseStudy, record: Record) -> Networks:
    """Train the networks of the best trial and of the least regularised one."""
    best, other = record.best, least(record)
    retrainings = [Retraining.of(study, best.number, best.params, range(record.replicates))]
    if other is not None:
        retrainings.append(Retraining.of(study, other.number, other.params, [0]))
    what = f"training the best trial, {best.number}, again"
    if other is not None:
        what += f", and the least regularised one, {other.number}"
    packs = {(one.trial, one.replicate): one.network for one in retrain(retrainings, what)}
    networks = [packs[best.number, each] for each in range(record.replicates) if (best.number, each) in packs]
    weights = [
        (what, entry, _weights(packs[entry.number, 0]))
        for what, entry in (("least regularised", other), ("best", best))
        if entry is not None and (entry.number, 0) in packs
    ]
    return Networks(weights, networks)


def _weights(pack: Pack) -> Floats:
    matrices = [one for name, one in pack.weights(0).items() if name.endswith(".weight") and one.ndim == 2]
    return np.concatenate([one.double().cpu().numpy().ravel() for one in matrices])


def read_test(study: BaseStudy, packs: Sequence[Pack], count: int) -> HeldOut:
    """Score networks on the test split; `count` is the number of this reading."""
    scores = [pack.score(pack.batches.x_test, pack.batches.test) for pack in packs]
    loss, score = (np.array([float(one[which][0]) for one in scores]) for which in (0, 1))
    first = packs[0]
    data = study.data.of(first.slots[0].replicate)
    outputs = first.predict(first.batches.x_test)[0, :, : data.outputs].double().cpu()
    truth, predicted, probabilities = data.y_test, outputs, None
    if data.targets is None:
        predicted, probabilities = outputs.argmax(1), outputs.softmax(1).numpy()
    else:
        truth, predicted = (data.targets.invert(one.double().cpu()) for one in (truth, outputs))
    # The folds of a cross-validation may be scaled differently.
    readable = [evaluate.readable(pack.batches, pack.predict(pack.batches.x_test)).cpu() for pack in packs]
    aim = study.objectives.first.name
    own = next((one for one in study.metrics if one.name == aim != data.metric), None)
    return HeldOut(
        loss,
        score,
        truth.cpu().numpy(),
        predicted.numpy(),
        count,
        interval=_bootstrapped(METRICS[data.metric], first, readable).interval(),
        classes=data.classes,
        probabilities=probabilities,
        objective=None if own is None else _bootstrapped(own, first, readable),
    )


def _bootstrapped(metric: Metric, pack: Pack, predicted: list[torch.Tensor]) -> Bootstrapped:
    """Return a metric of the test split, which is that of the pack, with its interval."""
    batches = pack.batches
    targets, weights = evaluate.truth(batches, batches.test.values).cpu(), batches.test.weights
    return bootstrap(draw(metric, targets, torch.cat(predicted), None if weights is None else weights.double().cpu()))
