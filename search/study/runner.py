"""Run a study to its budget, in this process or by workers, with its observers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from optuna.trial import TrialState

from search.choose import asking
from search.choose.until import validate_until
from search.errors import RequestError, counted, unknown
from search.record.observer import Observer, Stop
from search.record.own import own_trials
from search.storage import away, database
from search.study import worker
from search.study.in_process import run_in_process
from search.study.lookup import recipe_fields
from search.study.progress import Progress, Watchers
from search.study.results import count_finished
from search.study.stopped import stopped
from search.study.study import BaseStudy
from search.tracking.mirror import MlflowMirror
from search.train.crew import one_thread
from search.train.engine import load_kernels
from search.tryout.tryout import try_outside
from search.workers import team
from search.workers.local import LocalEngine
from search.workers.orders import ENGINES, Orders
from search.workers.team import Engine

_COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
_MOST_A_CORE = 8  # workers; each takes about 300 MB


@dataclass(frozen=True)
class RunOptions:
    """Options of a run; none of them changes the results.

    Attributes:
        timeout: the seconds after which to stop; trials in training are kept and adopted by the next run.
        extend: whether to widen a range if the best trial lies at its edge, and to continue: `search.choose.extending`.
        workers: the number of processes that share the work, each with its share of the cores, or a GPU of its own.
        engine: where they run: "local", this machine, or "ray", a cluster, with the storage in PostgreSQL.
        address: the address of the Ray cluster; by default the one that this machine belongs to.
    """

    timeout: float | None = None
    extend: bool = False
    workers: int = 1
    engine: str = "local"
    address: str | None = None


@one_thread()
def run_study(
    study: BaseStudy,
    trials: int | None = None,
    options: RunOptions | None = None,
    observers: Sequence[Observer] | None = None,
    at_end: Callable[[], object] | None = None,
) -> None:
    """Search until the study has a total number of trials.

    Args:
        study: the study.
        trials: the total budget, failed trials not counted; by default the recipe's, or the whole grid.
        options: how it is run.
        observers: the observers of the run; by default a progress bar. The MLflow writer observes in any case.
        at_end: called when the study has its budget, or has stopped before; MLflow's view is complete after that.

    Raises:
        RequestError, EnvironmentFault: see `validate_run`.
    """
    options = options or RunOptions()
    make_engine = validate_run(study, trials, options)
    with ExitStack() as stack:
        stack.callback(study.claims.release)
        if make_engine is None:
            load_kernels(study.device, study.recipe.precision)
        opened, budget = study.optuna_study, study.budget(trials)
        watching: list[Observer] = [*(observers or ())]
        if study.tracking_uri is not None:
            mirror = MlflowMirror(study.name, study.storage, study.tracking_uri, study.experiment)
            watching.append(stack.enter_context(mirror))
        with ExitStack() as shown:
            if observers is None:
                longest, aim = study.space.longest(), study.objectives.first
                has_stopped = partial(_has_stopped, study, budget)
                progress = Progress(opened, budget, longest, study.width, aim, study.follow_extensions, has_stopped)
                watching.append(shown.enter_context(progress))
            if make_engine is None:
                run_in_process(study, budget, watching, timeout=options.timeout, extend=options.extend)
            else:
                _run_by_workers(study, budget, options, make_engine, Watchers([study.trained, *watching]))
        budget = study.budget(trials)  # a range may have been widened
        if at_end is not None and (count_finished(study) >= budget or _has_stopped(study, budget)):
            at_end()


def validate_run(study: BaseStudy, trials: int | None, options: RunOptions) -> Callable[[Orders], Engine] | None:
    """Refuse a run that is not possible, before anything is written.

    Returns:
        A function that makes the engine of the workers; None if this process does the work.

    Raises:
        RequestError: an option is wrong, or a technique from outside breaks a contract (`search.tryout`).
        EnvironmentFault: there is no cluster to run it on.
    """
    timeout, workers, engine = options.timeout, options.workers, options.engine
    study.budget(trials)
    validate_until(study.recipe)
    if options.extend:
        study.extended.validate_extension()
    # Not `timeout <= 0`, which is false for NaN.
    if timeout is not None and not timeout > 0:
        raise RequestError(f"timeout must be > 0 seconds, got {timeout:g}")
    if workers < 1:
        raise RequestError(f"workers must be >= 1, got {workers}")
    cores = os.cpu_count() or 1
    if engine == "local" and workers > (most := _MOST_A_CORE * cores):
        raise RequestError(f"workers must be <= {most} on this machine of {counted(cores, 'core')}, got {workers}")
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if options.address is not None and engine != "ray":
        raise RequestError(f"address names a Ray cluster, so it needs engine ray, got engine {engine}")
    try_outside(study)
    if engine == "local":
        data = None if study.memory is None else study.data
        return None if workers == 1 else lambda _: LocalEngine(workers, worker.__name__, data)
    from search.study import ray_task
    from search.workers import cluster

    share = cluster.join_cluster(study.storage, workers, study.given["device"], options.address)
    return lambda orders: cluster.RayEngine(share, study.data, [*orders.techniques, *orders.metrics], ray_task.work)


def _run_by_workers(
    study: BaseStudy, budget: int, options: RunOptions, make_engine: Callable[[Orders], Engine], observer: Observer
) -> None:
    opened, orders = study.optuna_study, _orders(study, budget, options)
    assert study.backend is not None
    handle = partial(asking.handle, opened, study.backend)
    finished = partial(_is_finished, study, budget, extend=options.extend)
    with ExitStack() as stack, database.faults(study.storage), suppress(Stop):
        stack.callback(study.follow_extensions)
        study.team = team.run(make_engine(orders), orders, options.workers, handle, finished, observer)


def _is_finished(study: BaseStudy, budget: int, *, extend: bool) -> bool:
    """Return whether no work is left. Where ranges may be extended, only the workers can tell."""
    with suppress(*away.FAULTS):
        trials = own_trials(study.optuna_study, [TrialState.RUNNING, *_COUNTED])
        spent = len(trials) >= budget and all(trial.state in _COUNTED for trial in trials)
        return not extend and (spent or stopped(study, budget) is not None)
    return False


def _has_stopped(study: BaseStudy, budget: int) -> bool:
    """Return whether nothing was left to gain before the budget was spent; False if the storage is away."""
    with suppress(*away.FAULTS):
        return stopped(study, budget) is not None
    return False


def _orders(study: BaseStudy, budget: int, options: RunOptions) -> Orders:
    """Return the orders for the workers.

    Raises:
        RequestError: a technique or a metric was given as an object, which workers can't import.
    """
    given = dict(study.given)
    for kind in ("technique", "metric"):
        for one in given[f"{kind}s"]:
            if not isinstance(one, str | Path):
                raise RequestError(f"workers take {kind}s as paths of files, got the {kind} {one.name!r}")
        given[f"{kind}s"] = [str(one) for one in given[f"{kind}s"]]
    return Orders(
        recipe=recipe_fields(study.recipe, study.folder),
        name=study.name,
        storage=study.storage,
        budget=budget,
        deadline=None if options.timeout is None else time.time() + options.timeout,
        extend=options.extend,
        **given,
    )
