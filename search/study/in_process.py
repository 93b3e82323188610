"""Run a study to its budget in this process, as the process of a worker does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from search import loop
from search.choose import pruners
from search.choose.asking import Asker
from search.choose.extending.asker import ExtendingAsker
from search.choose.until import Until
from search.recipe import compose
from search.recipe.space import Space
from search.record import environment
from search.record.observer import Observer, Stop
from search.storage import away, database
from search.study import identity
from search.study.progress import Deadline, Watchers
from search.study.study import BaseStudy
from search.train.checkpoint import Checkpoints
from search.train.crew import one_thread

CHECKPOINTS = Path("checkpoints")


@one_thread()
def run_in_process(
    study: BaseStudy, budget: int, observers: Sequence[Observer], *, timeout: float | None, extend: bool
) -> None:
    """Search until the study has its budget of trials, the time is up, or an observer stops it.

    Args:
        study: the study, whose claims the caller releases.
        budget: the total number of trials.
        observers: the observers, in addition to the study's own count of epochs.
        timeout: the seconds after which to stop; the next run adopts the trials in training.
        extend: whether to widen a range if the best trial lies at its edge, and to continue.
    """
    with ExitStack() as stack, database.faults(study.storage), suppress(Stop):
        stack.callback(study.follow_extensions)
        watching = [study.trained, *observers, environment.EnvironmentRecorder(study.optuna_study, study.environment())]
        if timeout is not None:
            watching.append(Deadline(timeout))
        search = partial(_search, study, budget, Watchers(watching), extend=extend)
        away.persist(search, lambda: study.trained.trials, study.storage)


def _search(study: BaseStudy, budget: int, observer: Observer, *, extend: bool) -> None:
    assert study.backend is not None
    validate = partial(_validate, study) if extend else None
    asker = Asker(
        study.optuna_study,
        study.backend,
        study.recipe,
        study.space,
        budget,
        study.claims,
        study.objectives,
        Until.of(study.recipe, study.objectives, study.data),
    )
    pruner = pruners.of(study.recipe, study.space, study.objectives, study.batches, study.loss, study.metrics)
    made_by = study.optuna_study.user_attrs[identity.IDENTITY] | study.environment()
    folder = study.folder / CHECKPOINTS if study.given["checkpoint"] else None
    loop.search(
        ExtendingAsker(asker, study.extended, validate),
        study,
        pruner,
        study.batches,
        replicates=study.recipe.networks,
        width=study.width,
        checkpoints=Checkpoints(folder, f"{study.storage}/{study.name}", made_by),
        observer=observer,
    )


def _validate(study: BaseStudy, space: Space) -> None:
    """Let the techniques check a space on every fold of the data."""
    for data in study.data.folds or (study.data,):
        compose.validate_study(study.techniques, study.techniques, data, space, study.loss)
