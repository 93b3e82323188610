"""A team of workers, wherever they run: who tells what, who has died and is started again, when all is done.

    command --> orders --> engine --> worker, worker ... --> the storage
       ^                                  |
       +------------- events -------------+

The storage is the truth, and claims on cohorts (`search.choose.claims`) keep the workers apart: a worker that dies
takes nothing with it.
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

_SILENCE = 5.0  # seconds without a word, after which somebody sees whether there is anything left to do


@dataclass(frozen=True)
class Ended:
    """How a worker's life has ended.

    Attributes:
        status: a command's exit status; None where it was killed.
        why: what it said last, or what killed it.
    """

    status: int | None
    why: str


class Engine(Protocol):
    """What gives workers a place to run in."""

    def start(self, index: int, orders: Orders, hear: Callable[[str | Ended], None]) -> None:
        """Start a worker; `hear` gets each of its events, a line, and at last its end, from any thread."""
        ...

    def stop(self, index: int) -> None:
        """End a worker as a kill would."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class Worker:
    """One of a team, whatever processes it has been.

    Attributes:
        index: from 0.
        trials, epochs: told and trained, over all replicates.
        heard: whether it has ever told anything; begun: whether it has since it was started last.
        deaths: in a row.
    """

    index: int
    trials: int = 0
    epochs: int = 0
    heard: bool = False
    begun: bool = False
    deaths: int = 0

    def outcome(self) -> dict[str, int]:
        """As JSON can hold it."""
        return {"worker": self.index, "trials": self.trials, "epochs": self.epochs}


def run(
    engine: Engine,
    orders: Orders,
    workers: int,
    handle: Callable[[int], optuna.Trial],
    is_finished: Callable[[], bool],
    observer: Observer,
) -> list[Worker]:
    """Run a study by so many workers until nothing is left of its budget; the engine is closed then.

    Args:
        handle: Optuna's handle on a trial by its number.
        is_finished: whether the study needs nobody any more, as where others run it too.
        observer: sees what every worker's observer saw, in the order in which it comes.

    Raises:
        RequestError: a worker refuses its orders.
        EnvironmentFault: a worker cannot do its work, or dies again and again.
    """
    team = [Worker(index) for index in range(workers)]
    heard: queue.Queue[tuple[Worker, str | Ended]] = queue.Queue()

    def over() -> bool:
        return (orders.until is not None and time.time() >= orders.until) or is_finished()

    def start(worker: Worker) -> None:
        worker.begun = False
        engine.start(worker.index, orders, lambda said: heard.put((worker, said)))

    with closing(engine):
        for worker in team:
            start(worker)
        working = set(range(workers))
        while working:
            try:
                worker, said = heard.get(timeout=_SILENCE)
            except queue.Empty:
                if over():
                    _dismiss(engine, team, working)
                continue
            if worker.index not in working:
                continue
            if isinstance(said, str):
                _take(worker, said, handle, observer)
            elif _is_done(worker, said):
                working.discard(worker.index)
                _dismiss(engine, team, working)
            else:
                print(f"worker {worker.index} has ended ({said.why}): starting it again", file=sys.stderr, flush=True)
                time.sleep(away.pause(worker.deaths))
                start(worker)
    return team


def _dismiss(engine: Engine, team: list[Worker], working: set[int]) -> None:
    """Do without those that have not begun: there is nothing left to do, or no time for it."""
    for index in [one for one in working if not team[one].begun]:
        engine.stop(index)
        working.discard(index)


def _take(worker: Worker, line: str, handle: Callable[[int], optuna.Trial], observer: Observer) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        return  # torn: the worker was killed in the middle of it
    worker.heard = worker.begun = True
    if event["event"] == "told":
        worker.trials += 1
        worker.deaths = 0
    elif event["event"] == "epoch":
        worker.epochs += sum(len(next(iter(one["curves"].values()))[-1]) for one in event["members"])
    # A server that is away for a while: what is shown has a gap, the study has none.
    with suppress(*away.FAULTS):
        pass_on(event, handle, observer)


def _is_done(worker: Worker, ended: Ended) -> bool:
    """Whether a worker that has ended has done its work; else it is to be started again."""
    if ended.status == 2:
        raise RequestError(ended.why)
    worker.deaths += ended.status != 0
    if worker.deaths == away.PATIENCE or (ended.status == 1 and not worker.heard):
        raise EnvironmentFault(f"worker {worker.index}: {ended.why}")
    return ended.status == 0
