"""The measures of a chosen trial's networks: on the test rows, or on the validation rows of their folds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from search.compare.across_folds import AcrossFolds
from search.compare.pairs import Arm
from search.compare.scoring import Scoring
from search.record.readings import count_reading
from search.statistics.crossed import Floats
from search.storage import database
from search.study.results import count_finished
from search.study.study import BaseStudy
from search.train import evaluate
from search.train.batches import Batches, Targets
from search.train.pack import Pack
from search.train.precision import products


def measure(study: BaseStudy, trial: FrozenTrial, label: str, networks: Sequence[Pack], scoring: Scoring) -> Arm:
    """Test the networks of a chosen trial, or measure them on the validation rows of their folds.

    The test split is read nowhere else. The reading is counted first, so that none is missed.

    Args:
        study: the study of the trial.
        trial: the trial.
        label: what sentences call it.
        networks: its networks, one for each fresh replicate.
        scoring: what verdicts are on.
    """
    arm = Arm(
        study=study.name,
        trial=trial.number,
        params=trial.params,
        label=label,
        searched=count_finished(study),
        value=trial.values[0],
        losses=np.empty(0),
        scores=np.empty(0),
        readings=0,
        objective=study.objectives.first.name,
    )
    if isinstance(scoring, AcrossFolds):
        of_folds, fold_losses = scoring.of_folds(networks)
        return replace(arm, scores=of_folds, losses=fold_losses)
    with database.faults(study.storage):
        readings = count_reading(study.optuna_study)
    return of_rows(replace(arm, readings=readings), networks, scoring, lambda batches: (batches.x_test, batches.test))


def of_rows(
    arm: Arm, networks: Sequence[Pack], scoring: Scoring, rows: Callable[[Batches], tuple[Tensor, Targets]]
) -> Arm:
    """Return a trial with the measures of its networks on some rows.

    Args:
        arm: the trial.
        networks: its networks, one for each replicate.
        scoring: what verdicts are on.
        rows: returns the inputs and the targets of the rows; all networks have the same ones.
    """
    x, y = rows(networks[0].batches)
    losses, scores, predictions = zip(*(_examples(pack, x, y) for pack in networks), strict=True)
    weights = None if y.weights is None else y.weights.double().cpu()
    targets = evaluate.truth(networks[0].batches, y.values).cpu()
    measured = scoring.measure(targets, torch.cat(predictions), weights)
    return replace(arm, losses=np.stack(losses), scores=np.stack(scores), measured=measured)


def _examples(network: Pack, x: Tensor, y: Targets) -> tuple[Floats, Floats, Tensor]:
    """Return loss and score of each example, ``(examples,)``, and the predictions, ``1 x examples x outputs``.

    With weights, they are those numbers of each example that have the weighted mean m, to first order:
    ``m + w / mean(w) * (value - m)``.
    """
    program, batches = network.program, network.batches
    with products(program.precision, batches.device):
        predictions = network.predict(x)
        loss, score = evaluate.per_example(program, batches, predictions, y.values)
    if y.weights is not None:
        loss, score = (_weighted(values, y.weights.double()) for values in (loss, score))
    return loss[0].cpu().numpy(), score[0].cpu().numpy(), evaluate.readable(batches, predictions).cpu()


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    share = weights / weights.mean()
    middle = (values * share).mean()
    return middle + share * (values - middle)
