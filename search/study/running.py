"""A study run to its budget, in this process or by workers, with everyone who watches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import TrialState

from search import loop
from search.choose import asking, extending, pruners
from search.choose.asking import Asker
from search.errors import RequestError, counted, unknown
from search.recipe import compose
from search.record import environment
from search.record.observer import Observer, Stop
from search.storage import away, database
from search.study import identity
from search.study.lookup import kept
from search.study.progress import Deadline, Progress, Watchers
from search.tracking.mirror import MlflowMirror
from search.train.checkpoint import Checkpoints
from search.workers import team
from search.workers.local import LocalEngine
from search.workers.orders import Orders
from search.workers.team import Engine

if TYPE_CHECKING:
    from search.study.study import Study

CHECKPOINTS = Path("checkpoints")
ENGINES = ("local", "ray")
_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
_MOST_A_CORE = 8  # workers, each of which takes some 300 MB


@dataclass(frozen=True)
class Manner:
    """How a study is run; see `Study.run`."""

    timeout: float | None
    extend: bool
    workers: int
    engine: str
    address: str | None


def run(study: Study, trials: int | None, manner: Manner, observers: Sequence[Observer] | None) -> None:
    """See `Study.run`."""
    make = confirm(study, trials, manner)
    timeout, extend = manner.timeout, manner.extend
    with ExitStack() as stack:
        stack.callback(study.claims.release)
        opened, budget = study.optuna_study, study.budget(trials)
        watching: list[Observer] = [study.trained, *(observers or ())]
        if study.tracking_uri is not None:
            watching.append(stack.enter_context(MlflowMirror(study.name, study.storage, study.tracking_uri)))
        if observers is None:
            watching.append(stack.enter_context(Progress(opened, budget, study.space.longest(), study.width)))
        with database.faults(study.storage), suppress(Stop):
            stack.callback(_follow_extensions, study)
            if make is not None:
                assert study.backend is not None
                orders = _orders(study, budget, timeout, extend=extend)
                handle = partial(asking.handle, opened, study.backend)
                finished = partial(_is_finished, opened, budget, extend=extend)
                study.team = team.run(make(orders), orders, manner.workers, handle, finished, Watchers(watching))
                return
            watching.append(environment.Noting(opened, study.environment()))
            if timeout is not None:
                watching.append(Deadline(timeout))
            search = partial(_search, study, budget, Watchers(watching), extend=extend)
            away.persist(search, lambda: study.trained.trials, study.storage)


def confirm(study: Study, trials: int | None, manner: Manner) -> Callable[[Orders], Engine] | None:
    """Refuse what cannot be run, before anything is written; what makes the workers' engine, None for no workers.

    Raises:
        RequestError: which says why.
        EnvironmentFault: there is no cluster to run it on.
    """
    timeout, workers, engine = manner.timeout, manner.workers, manner.engine
    study.budget(trials)
    if manner.extend:
        extending.check(study.recipe, study.space)
    # Not `<= 0`, which NaN is not.
    if timeout is not None and not timeout > 0:
        raise RequestError(f"timeout must be > 0 seconds, got {timeout:g}")
    if workers < 1:
        raise RequestError(f"workers must be >= 1, got {workers}")
    cores = os.cpu_count() or 1
    if engine == "local" and workers > (most := _MOST_A_CORE * cores):
        raise RequestError(f"workers must be <= {most} on this machine of {counted(cores, 'core')}, got {workers}")
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if manner.address is not None and engine != "ray":
        raise RequestError(f"address is a Ray cluster's: it goes with engine ray, got engine {engine}")
    if engine == "local":
        return None if workers == 1 else lambda _: LocalEngine(workers)
    from search.workers import cluster

    share = cluster.confirm(study.storage, workers, study.given["device"], manner.address)
    return lambda orders: cluster.RayEngine(share, study.data, orders.techniques)


def _search(study: Study, budget: int, observer: Observer, *, extend: bool) -> None:
    assert study.backend is not None
    sound = partial(compose.validate_study, study.techniques, study.techniques, study.data) if extend else None
    asker = Asker(study.optuna_study, study.backend, study.recipe, study.space, budget, study.claims, sound)
    pruner = pruners.of(study.recipe, study.space, study.batches, study.loss)
    made_by = study.optuna_study.user_attrs[identity.IDENTITY] | study.environment()
    folder = CHECKPOINTS if study.given["checkpoint"] else None
    loop.search(
        asker, study, pruner, study.batches, replicates=study.recipe.replicates, width=study.width,
        checkpoints=Checkpoints(folder, f"{study.storage}/{study.name}", made_by), observer=observer,
    )  # fmt: skip


def _is_finished(opened: optuna.Study, budget: int, *, extend: bool) -> bool:
    """Whether no worker has anything to do; one that is to extend the study may decide on that."""
    with suppress(*away.FAULTS):
        trials = opened.get_trials(deepcopy=False, states=(TrialState.RUNNING, *_COUNTED))
        return not extend and len(trials) >= budget and all(trial.state in _COUNTED for trial in trials)
    return False


def _follow_extensions(study: Study) -> None:
    """See the space as it has become, however the run has ended."""
    with suppress(*away.FAULTS):
        study.space = extending.widened(study.resolved, extending.stored(study.optuna_study.user_attrs))


def _orders(study: Study, budget: int, timeout: float | None, *, extend: bool) -> Orders:
    """What each worker is to run.

    Raises:
        RequestError: workers cannot find a technique that was given as an object.
    """
    given = dict(study.given)
    for one in given["techniques"]:
        if not isinstance(one, str | Path):
            raise RequestError(f"workers take techniques by the path of their file, got the technique {one.name!r}")
    until = None if timeout is None else time.time() + timeout
    given["techniques"] = [str(Path(one).absolute()) for one in given["techniques"]]
    return Orders(
        recipe=kept(study.recipe), name=study.name, storage=study.storage, budget=budget, until=until,
        extend=extend, **given,
    )  # fmt: skip
