"""Choose an ensemble of networks by their common validation loss, greedily and with replacement.

Every replicate of the best trials is a candidate. Where these are fewer than twice the N choices, more replicates are
trained, up to three of each trial. The ensemble begins with the k best candidates, where k <= 5 is the number that
gives the lowest loss. Then it takes again and again the candidate that gives the lowest loss, until it has made N
choices. A network that was chosen c times has the weight c / N. The prediction is the weighted mean of probabilities,
``sum_i w_i softmax(z_i)``, or of values.

Both the choice and the loss that is reported are of the same validation rows, so the loss is optimistic.

Source: Caruana et al., "Ensemble selection from libraries of models" (ICML 2004).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from optuna.trial import FrozenTrial
from torch import Tensor
from torch.nn import functional as F

from search.data import Data
from search.errors import RequestError, counted
from search.record.curves import CURVES, Curves
from search.record.feasible import feasible
from search.record.own import own_trials
from search.study.model import Chosen
from search.study.progress import Log
from search.study.retrain import Retrained, Retraining, complete_trial, retrain
from search.train.losses import REGRESSION
from search.train.metrics.objective import VAL_LOSS
from search.train.program import SCALE

if TYPE_CHECKING:
    from search.study.study import BaseStudy

TRIALS = 20
"""The number of best trials whose replicates are candidates."""
_REPLICATES = 3
_CANDIDATES = 2  # for each choice
_START = 5
Loss = Callable[[Tensor], float]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A chosen ensemble.

    Attributes:
        members: its networks, the most often chosen first.
        val_loss: its validation loss.
        objective: the name of the metric that it was chosen by, the study's first objective.
        value: this metric of the ensemble for the validation rows.
        best_value: the same of the best single candidate.
        candidates: the number of networks to choose from.
        trials: the number of their trials.
    """

    members: Sequence[Chosen]
    val_loss: float
    objective: str
    value: float
    best_value: float
    candidates: int
    trials: int


def choose(study: BaseStudy, count: int, log: Log | None = None) -> Ensemble:
    """Train the best trials again, and choose an ensemble of their networks.

    Args:
        study: the study.
        count: the number of choices, N.
        log: gets lines on the progress; by default they are shown on stderr.

    Raises:
        RequestError: the study has no complete trial, or all networks diverge.
    """
    complete_trial(study, None)  # which raises an error if there is none
    trials = candidates(study)
    least = min(_REPLICATES, -(-_CANDIDATES * count // len(trials)))
    retrainings = [Retraining.of(study, one.number, one.params, _replicates(study, one, least)) for one in trials]
    networks = sum(len(one.replicates) for one in retrainings)
    of = "best trial" if len(trials) == 1 else f"{len(trials)} best trials"
    what = f"training {counted(networks, 'network')} of the {of} again"
    aim = study.objectives.first
    retrained = retrain(retrainings, what, log)
    found = sorted(retrained, key=lambda one: (aim.loss(one.objective), one.trial, one.replicate))
    if not found:
        raise RequestError(f"the best trials of study {study.name!r} diverge when they are trained again")
    loss, measure = loss_of(study.data, study.loss), objective_of(study)
    predicted = [_predicted(study, one) for one in found]
    counts = Counter(select(predicted, lambda one: aim.loss(measure(one)), count))
    mean = sum((predicted[index] * times for index, times in counts.items()), torch.zeros(())) / count
    members = [
        Chosen(found[index].trial, found[index].replicate, found[index].network, found[index].val_loss, count=times)
        for index, times in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]
    return Ensemble(members, loss(mean), aim.name, measure(mean), measure(predicted[0]), len(found), len(trials))


def candidates(study: BaseStudy) -> list[FrozenTrial]:
    """Return the feasible trials with the best first objective, at most `TRIALS`, the best first.

    They all have the scaling and the encoding of the best one: a model file has one of each.
    """
    chosen, aim = feasible(own_trials(study.optuna_study)), study.objectives.first
    ranked = sorted(chosen, key=lambda trial: (aim.loss(trial.values[0]), trial.number))
    if study.space.scales:
        ranked = [trial for trial in ranked if trial.params.get(SCALE) == ranked[0].params.get(SCALE)]
    if any(technique.edges is not None for technique in study.techniques):
        encoders = [Retraining.of(study, one.number, one.params, [0]).program.encoder for one in ranked]
        ranked = [trial for trial, encoder in zip(ranked, encoders, strict=True) if encoder is encoders[0]]
    return ranked[:TRIALS]


def select(predictions: Sequence[Tensor], loss: Loss, count: int) -> list[int]:
    """Return the indices of the chosen candidates in the order of choice, `count` in all; of equal ones the first.

    Args:
        predictions: each candidate's probabilities or values, ``rows x outputs``, the best candidate first.
        loss: the loss of a prediction, or its objective with the sign that makes it one.
        count: the number of choices.
    """
    best_first: list[tuple[float, int]] = []
    total = torch.zeros_like(predictions[0])
    for size in range(1, min(_START, count, len(predictions)) + 1):
        total = total + predictions[size - 1]
        best_first.append((loss(total / size), size))
    start = min(best_first)[1]
    chosen = list(range(start))
    total = torch.stack(list(predictions[:start])).sum(0)
    while len(chosen) < count:
        losses = [loss((total + one) / (len(chosen) + 1)) for one in predictions]
        chosen.append(losses.index(min(losses)))
        total += predictions[chosen[-1]]
    return chosen


def objective_of(study: BaseStudy) -> Loss:
    """Return the study's first objective of predictions for the validation rows; they are as in `loss_of`."""
    name, data = study.objectives.first.name, study.data
    if name == VAL_LOSS.name:
        return loss_of(data, study.loss)
    metric = next(one for one in study.metrics if one.name == name)
    weights = None if data.w_val is None else data.w_val.double().cpu()
    if data.targets is None:
        y = data.y_val.cpu()
        return lambda probabilities: float(metric(y, probabilities[None], weights)[0])
    in_units = data.targets.invert
    y = in_units(data.y_val.double().cpu())
    return lambda values: float(metric(y, in_units(values)[None], weights)[0])


def loss_of(data: Data, name: str) -> Loss:
    """Return the validation loss of probabilities, or of standardised values, ``rows x outputs`` in float64.

    Args:
        data: the data with the validation rows, and with their weights if they have any.
        name: the name of a regression's loss (`search.train.losses`).
    """
    y = data.y_val.cpu()
    weights = torch.ones(len(y)) if data.w_val is None else data.w_val.cpu()
    shares = weights.double() / weights.double().sum()
    if data.task == "classification":
        return lambda probabilities: float(F.nll_loss(probabilities.log(), y, reduction="none") @ shares)
    function = REGRESSION[name]
    return lambda values: float(function(values, y.to(values), data.outputs) @ shares)


def _replicates(study: BaseStudy, trial: FrozenTrial, least: int) -> list[int]:
    """Return a trial's replicates, at least so many; in a cross-validation those of the first fold.

    The networks of other folds have learned from the rows that choose.
    """
    folds = len(study.batches.folds)
    own = Curves.decode(trial.user_attrs[CURVES]).replicates // folds
    return [folds * number for number in range(max(own, least))]


def _predicted(study: BaseStudy, one: Retrained) -> Tensor:
    outputs = one.network.predict(one.network.batches.x_val)[0, :, : study.data.outputs].double().cpu()
    return outputs.softmax(1) if study.data.task == "classification" else outputs
