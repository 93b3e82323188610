"""What simple predictors reach on the same rows: the best constant, and a regularised linear model.

The linear model is a network without hidden layers. It is trained, in one pack, with a few learning rates and strengths
of L2, and the best of these is taken; so it is a little flattered, as its rows choose it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from search.decide.evidence import Evidence
from search.decide.gather import contributions_of, nested
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record.decision import Yardstick
from search.show.interval import Interval
from search.statistics.crossed import Floats
from search.study.progress import Log
from search.study.retrain import Retraining, complete_values, in_packs, numbered_trial, retrain_together
from search.train.constant import constant_value
from search.train.program import Program

if TYPE_CHECKING:
    from search.study.study import BaseStudy

CONSTANT, LINEAR = "the best constant prediction", "a regularised linear model"
_RATES, _STRENGTHS = (3e-3, 3e-2), (1e-5, 1e-3, 1e-2, 1e-1)
_REPLICATES = 2
# An epoch costs at least an evaluation, so that few rows take small batches rather than many epochs. A linear model has
# converged after so many steps, or is close.
_BATCH, _STEPS_PER_EPOCH = (8, 128), 16
_EPOCHS, _STEPS = (5, 25), 3000


def yardsticks(study: BaseStudy, evidence: Evidence, chosen: int, log: Log | None = None) -> list[Yardstick]:
    """Return what simple predictors reach on the validation rows.

    Args:
        study: the study.
        evidence: what is known of its trials.
        chosen: the trial that is chosen.
        log: gets a line on what is trained; by default it is shown on stderr.
    """
    aim = study.objectives.first
    found = []
    constant = constant_value(study.batches, study.loss, aim, study.metrics)
    if constant is not None:
        found.append(Yardstick(CONSTANT, constant))
    program = study.program(complete_values(study, chosen, numbered_trial(study, chosen).params))
    is_linear = len(program.layout.widths) == 2
    replicates = min(_REPLICATES, evidence.replicates(chosen))
    if not is_linear and (linear := _linear(study, replicates, log)) is not None:
        cells = evidence.cells[chosen]
        both = min(len(cells), len(linear))
        gain = evidence.estimate(linear[:both] - cells[:both], pair=True)
        low, high = gain.interval()
        mean = float(aim.loss(linear.mean()))
        found.append(Yardstick(LINEAR, mean, Interval(float(gain.value), float(low), float(high))))
    return found


def _linear(study: BaseStudy, replicates: int, log: Log | None) -> Floats | None:
    """Return the losses of the best linear model, as `Evidence.cells` has them; None if all diverge."""
    retrainings = _retrainings(study, replicates)
    what = f"training {len(retrainings)} linear models, to compare the chosen network with"
    aim = study.objectives.first
    if study.data.folds:
        folds, repeats = len(study.batches.folds), study.recipe.data.repeats
        found = [nested(one, aim, folds, repeats) for one in retrain_together(retrainings, what, log).values()]
    else:
        tables: dict[int, list[Floats]] = {one.trial: [] for one in retrainings}
        for one in sorted(in_packs(retrainings, contributions_of, what, log), key=lambda one: one.replicate):
            tables[one.trial].append(one.values)
        found = [aim.loss(np.stack(own)) for own in tables.values() if len(own) == replicates]
    finite = [cells for cells in found if np.isfinite(cells).all()]
    return min(finite, key=lambda cells: float(cells.mean()), default=None)


def _retrainings(study: BaseStudy, replicates: int) -> list[Retraining]:
    """Return one linear model for each pair of a learning rate and a strength; all have one program, hence a pack."""
    rows = study.batches.train_rows
    batch = int(np.clip(rows // _STEPS_PER_EPOCH, *_BATCH))
    epochs = int(np.clip(_STEPS * batch // rows, *_EPOCHS))
    fixed = {"hidden": "0", "batch_size": batch, "epochs": epochs, "lr": _RATES[0], "l2": _STRENGTHS[0]}
    recipe = Recipe.parse({"name": LINEAR, "techniques": ["l2"], "set": fixed}, LINEAR)
    techniques = select(recipe.techniques, ())
    space = Space.resolve(recipe, techniques)
    values = space.complete({})
    assert values is not None
    program = Program.build(
        space.structure(values),
        tuple(space.numeric(values)),
        techniques,
        study.batches,
        loss=study.loss,
        seed=study.recipe.seed,
        precision=study.recipe.precision,
        metrics=study.metrics,
        objective=study.objectives.first,
    ).deciding()
    networks = range(len(study.batches.folds) * replicates if study.data.folds else replicates)
    given = [{"lr": rate, "l2": strength} for rate, strength in itertools.product(_RATES, _STRENGTHS)]
    return [
        Retraining(study, number, program, space.numeric(values | one), networks) for number, one in enumerate(given)
    ]
