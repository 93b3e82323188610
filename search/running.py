"""A study run to its budget, in this process or by workers, with everyone who watches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from search import compose, database, identity, loop
from search.choose import extending, pruners
from search.choose.asking import Asker
from search.errors import RequestError
from search.observer import Observer, Stop
from search.progress import Deadline, Progress, Watchers
from search.record import environment
from search.record.mirror import MlflowMirror
from search.scale import local
from search.scale.orders import Orders
from search.stored import kept
from search.train.checkpoint import Checkpoints

if TYPE_CHECKING:
    from search.study import Study

CHECKPOINTS = Path("checkpoints")


def run(
    study: Study,
    trials: int | None,
    *,
    timeout: float | None,
    extend: bool,
    workers: int,
    observers: Sequence[Observer] | None,
) -> None:
    """See `Study.run`."""
    confirm(study, trials, timeout=timeout, extend=extend, workers=workers)
    with ExitStack() as stack:
        stack.callback(study.claims.release)
        opened, budget = study.optuna_study, study.budget(trials)
        orders = _orders(study, budget, timeout, workers, extend=extend) if workers > 1 else None
        watching: list[Observer] = [study.trained, *(observers or ())]
        if study.tracking_uri is not None:
            watching.append(stack.enter_context(MlflowMirror(study.name, study.storage, study.tracking_uri)))
        if observers is None:
            watching.append(stack.enter_context(Progress(opened, budget, study.space.longest(), study.width)))
        with database.faults(study.storage), suppress(Stop):
            stack.callback(_follow_extensions, study)
            if orders is not None:
                study.team = local.run(orders, workers, study.handle, Watchers(watching))
                return
            watching.append(environment.Noting(opened, study.environment()))
            if timeout is not None:
                watching.append(Deadline(timeout))
            _search(study, budget, Watchers(watching), extend=extend)


def confirm(study: Study, trials: int | None, *, timeout: float | None, extend: bool, workers: int) -> None:
    """Refuse what cannot be run, before anything is written.

    Raises:
        RequestError: which says why.
    """
    study.budget(trials)
    if extend:
        extending.check(study.recipe, study.space)
    # Not `<= 0`, which NaN is not.
    if timeout is not None and not timeout > 0:
        raise RequestError(f"timeout must be > 0 seconds, got {timeout:g}")
    if workers < 1:
        raise RequestError(f"workers must be >= 1, got {workers}")


def _search(study: Study, budget: int, observer: Observer, *, extend: bool) -> None:
    assert study.backend is not None
    sound = partial(compose.check, study.techniques, study.techniques, study.data) if extend else None
    asker = Asker(study.optuna_study, study.backend, study.recipe, study.space, budget, study.claims, sound)
    pruner = pruners.of(study.recipe, study.space, study.batches, study.loss)
    made_by = study.optuna_study.user_attrs[identity.IDENTITY] | study.environment()
    folder = CHECKPOINTS if study.given["checkpoint"] else None
    loop.search(
        asker, study, pruner, study.batches, replicates=study.recipe.replicates, width=study.width,
        checkpoints=Checkpoints(folder, f"{study.storage}/{study.name}", made_by), observer=observer,
    )  # fmt: skip


def _follow_extensions(study: Study) -> None:
    """See the space as it has become, however the run has ended."""
    with suppress(StorageInternalError, SQLAlchemyError):
        study.space = extending.widened(study.resolved, extending.stored(study.optuna_study.user_attrs))


def _orders(study: Study, budget: int, timeout: float | None, workers: int, *, extend: bool) -> Orders:
    """What each of so many workers is to run.

    Raises:
        RequestError: workers cannot find a technique that was given as an object.
    """
    given = dict(study.given)
    for one in given["techniques"]:
        if not isinstance(one, str | Path):
            raise RequestError(f"workers take techniques by the path of their file, got the technique {one.name!r}")
    given["techniques"] = [str(Path(one).absolute()) for one in given["techniques"]]
    return Orders(
        recipe=kept(study.recipe), name=study.name, storage=study.storage, budget=budget, timeout=timeout,
        extend=extend, threads=max(1, torch.get_num_threads() // workers), **given,
    )  # fmt: skip
