"""What simple predictors reach on the same rows: the best constant, and a regularised linear model.

The linear model is a network without hidden layers. It is trained, in one pack, with a few learning rates and strengths
of L2, and the best of these is taken; so it is a little flattered, as its rows choose it.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.decide.evidence import Evidence
from search.decide.gather import nested
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record.curves import Curves
from search.record.decision import Span, Yardstick
from search.statistics.crossed import Floats
from search.study.progress import Log
from search.study.retrain import Retraining, complete_values, in_packs, numbered_trial
from search.train.constant import constant_value
from search.train.contributions import contributions
from search.train.metrics.objective import VAL_LOSS
from search.train.pack import Slot
from search.train.program import Program
from search.train.sampling import objective_curves

if TYPE_CHECKING:
    from search.study.study import BaseStudy

CONSTANT, LINEAR = "the best constant prediction", "a regularised linear model"
_RATES, _STRENGTHS = (3e-3, 3e-2), (1e-5, 1e-3, 1e-2, 1e-1)
_REPLICATES, _BATCH = 2, 128
_EPOCHS, _STEPS = (5, 100), 3000  # a linear model has converged after so many steps, or is close


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
    linear = (
        None if len(program.layout.widths) == 2 else _linear(study, min(_REPLICATES, evidence.replicates(chosen)), log)
    )
    if linear is not None:
        cells = evidence.cells[chosen]
        both = min(len(cells), len(linear))
        gain = evidence.estimate(linear[:both] - cells[:both], pair=True)
        low, high = gain.interval()
        mean = float(aim.loss(linear.mean()))
        found.append(Yardstick(LINEAR, mean, Span(float(gain.value), float(low), float(high))))
    return found


def _linear(study: BaseStudy, replicates: int, log: Log | None) -> Floats | None:
    """Return the losses of the best linear model, as `Evidence.cells` has them; None if all diverge."""
    retrainings = [
        _retraining(study, number, rate, strength, replicates)
        for number, (rate, strength) in enumerate(itertools.product(_RATES, _STRENGTHS))
    ]
    what = f"training {len(retrainings)} linear models, to compare the chosen network with"
    aim, folds = study.objectives.first, len(study.batches.folds)
    tables: dict[tuple[int, int], Floats] = {}
    for trial, replicate, values in in_packs(retrainings, _of_folds if study.data.folds else _of_rows, what, log):
        tables[trial, replicate] = values
    found = []
    for one in retrainings:
        own = [tables[one.trial, replicate] for replicate in one.replicates if (one.trial, replicate) in tables]
        if len(own) < len(one.replicates):
            continue
        if study.data.folds:
            names = (VAL_LOSS.name,) if aim.is_loss else (VAL_LOSS.name, aim.name)
            curves = Curves(names, np.stack(own, 1)[: len(names)].astype(np.float32))
            found.append(nested(curves, aim, folds, study.recipe.data.repeats))
        else:
            found.append(aim.loss(np.stack(own)))
    finite = [cells for cells in found if np.isfinite(cells).all()]
    return min(finite, key=lambda cells: float(cells.mean()), default=None)


def _retraining(study: BaseStudy, number: int, rate: float, strength: float, replicates: int) -> Retraining:
    steps = -(-study.batches.train_rows // _BATCH)
    epochs = min(max(_EPOCHS[0], _STEPS // steps), _EPOCHS[1])
    fields = {
        "name": LINEAR,
        "techniques": ["l2"],
        "set": {"hidden": "0", "batch_size": _BATCH, "epochs": epochs, "lr": rate, "l2": strength},
    }
    recipe = Recipe.parse(fields, LINEAR)
    techniques = select(recipe.techniques, ())
    space = Space.resolve(recipe, techniques)
    values = space.complete({})
    assert values is not None
    numeric = space.numeric(values)
    program = Program.build(
        space.structure(values),
        tuple(numeric),
        techniques,
        study.batches,
        loss=study.loss,
        seed=study.recipe.seed,
        precision=study.recipe.precision,
        metrics=study.metrics,
        objective=study.objectives.first,
    )
    networks = len(study.batches.folds) * replicates if study.data.folds else replicates
    return Retraining(study, number, program.deciding(), numeric, range(networks))


def _of_rows(owner: Retraining, slots: Sequence[Slot]) -> Generator[tuple[int, int, Floats] | int]:
    batches = owner.program.own(owner.study.batches, slots[0].replicate)
    for trained in contributions(owner.program, batches, slots):
        yield len(slots) if trained is None else (trained.trial, trained.replicate, trained.values)


def _of_folds(owner: Retraining, slots: Sequence[Slot]) -> Generator[tuple[int, int, Floats] | int]:
    batches = owner.program.own(owner.study.batches, slots[0].replicate)
    for trained in objective_curves(owner.program, batches, slots):
        yield len(slots) if trained is None else (trained[0].trial, trained[0].replicate, trained[1].astype(np.float64))
