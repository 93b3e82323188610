"""The command's side of its workers: receive their events, restart those that have died, and end when all is done.

    command --> orders --> engine --> worker, worker ... --> the storage
       ^                                  |
       +------------- events -------------+

The storage is the truth, and claims on cohorts (`search.choose.claims`) keep the workers apart, so nothing is lost if a
worker dies.
"""

from __future__ import annotations

import json
import queue
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Protocol

import optuna

from search.errors import EnvironmentFault, RequestError
from search.record.observer import Observer
from search.storage import away
from search.workers.events import pass_on
from search.workers.orders import Orders

_SILENCE = 5.0  # seconds without an event, after which the command looks whether anything is left to do


@dataclass(frozen=True)
class Ended:
    """The end of a worker's process or task.

    Attributes:
        status: the exit status of a command; None if the worker was killed.
        why: the last line that it printed, or what killed it.
    """

    status: int | None
    why: str


class Engine(Protocol):
    """A place for workers to run in: this machine, or a cluster."""

    def start(self, index: int, orders: Orders, hear: Callable[[str | Ended], None]) -> None:
        """Start a worker; `hear` is called, from any thread, with each of its event lines and at last with its end."""
        ...

    def stop(self, index: int) -> None:
        """End a worker as a kill would."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class Worker:
    """One worker, over all the processes that it is restarted in.

    Attributes:
        index: its number, from 0.
        trials, epochs: the numbers of finished trials and of epochs trained, over all replicates.
        heard: whether it has ever sent an event.
        begun: whether it has sent one since it was last started.
        deaths: the number of deaths in a row.
    """

    index: int
    trials: int = 0
    epochs: int = 0
    heard: bool = False
    begun: bool = False
    deaths: int = 0

    def outcome(self) -> dict[str, int]:
        """Return the counts of its work, as JSON can hold them."""
        return {"worker": self.index, "trials": self.trials, "epochs": self.epochs}


def run(
    engine: Engine,
    orders: Orders,
    workers: int,
    handle: Callable[[int], optuna.Trial],
    is_finished: Callable[[], bool],
    observer: Observer,
) -> list[Worker]:
    """Run a study by workers until nothing is left of its budget, then close the engine.

    Args:
        engine: the engine that starts and stops the workers.
        orders: the study that each worker runs, and how to run it.
        workers: the number of workers.
        handle: returns Optuna's handle on a trial, by its number.
        is_finished: returns whether nothing is left to do, because other commands may have finished the study.
        observer: the observer that sees what every worker's observer saw, in the order in which it arrives.

    Raises:
        RequestError: a worker refuses its orders.
        EnvironmentFault: a worker cannot do its work, or dies again and again.
    """
    team = [Worker(index) for index in range(workers)]
    heard: queue.Queue[tuple[Worker, str | Ended]] = queue.Queue()

    def is_over() -> bool:
        return (orders.deadline is not None and time.time() >= orders.deadline) or is_finished()

    def start(worker: Worker) -> None:
        worker.begun = False
        engine.start(worker.index, orders, lambda message: heard.put((worker, message)))

    with closing(engine):
        for worker in team:
            start(worker)
        working = set(range(workers))
        while working:
            try:
                worker, message = heard.get(timeout=_SILENCE)
            except queue.Empty:
                if is_over():
                    _dismiss(engine, team, working)
                continue
            if worker.index not in working:
                continue
            if isinstance(message, str):
                _take(worker, message, handle, observer)
            elif _is_done(worker, message):
                working.discard(worker.index)
                _dismiss(engine, team, working)
            else:
                print(f"worker {worker.index} has died ({message.why}): starting it again", file=sys.stderr, flush=True)
                time.sleep(away.pause(worker.deaths))
                start(worker)
    return team


def _dismiss(engine: Engine, team: list[Worker], working: set[int]) -> None:
    """Stop the workers that have not begun: there is nothing left to do, or no time for it."""
    for index in [one for one in working if not team[one].begun]:
        engine.stop(index)
        working.discard(index)


def _take(worker: Worker, line: str, handle: Callable[[int], optuna.Trial], observer: Observer) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        return  # the worker was killed in the middle of the line
    worker.heard = worker.begun = True
    if event["event"] == "told":
        worker.trials += 1
        worker.deaths = 0
    elif event["event"] == "epoch":
        worker.epochs += sum(len(next(iter(one["curves"].values()))[-1]) for one in event["members"])
    # If the server does not answer for a while, the display has a gap; the study has none.
    with suppress(*away.FAULTS):
        pass_on(event, handle, observer)


def _is_done(worker: Worker, ended: Ended) -> bool:
    """Return whether a worker that has ended has done its work; if not, it is started again."""
    if ended.status == 2:
        raise RequestError(ended.why)
    worker.deaths += ended.status != 0
    if worker.deaths == away.PATIENCE or (ended.status == 1 and not worker.heard):
        raise EnvironmentFault(f"worker {worker.index}: {ended.why}")
    return ended.status == 0
