"""Workers on this machine: processes that share a study's cohorts, each with its share of the cores, or its own GPU.

    command --> orders --> worker, worker ... --> the storage
       ^                      |
       +----- events ---------+

The storage is the truth, and claims on cohorts (`search.choose.claims`) keep the workers apart: a worker that dies
takes nothing with it, and is started again.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import optuna
import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from search.errors import EnvironmentFault, RequestError
from search.observer import Observer
from search.scale.events import pass_on
from search.scale.orders import Orders

_PATIENCE = 4  # deaths of a worker in a row, without a trial told in between, that end the run
_PAUSE = 2.0  # seconds before the second start, and twice as many before each that follows: a server may come back


@dataclass
class Worker:
    """One of a team, whatever processes it has been.

    Attributes:
        index: from 0.
        trials, epochs: told and trained, over all replicates.
        heard: whether it has ever told anything.
        deaths: in a row.
        last: the last line of its standard error.
    """

    index: int
    trials: int = 0
    epochs: int = 0
    heard: bool = False
    deaths: int = 0
    last: str = ""
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    def outcome(self) -> dict[str, int]:
        """As JSON can hold it."""
        return {"worker": self.index, "trials": self.trials, "epochs": self.epochs}


def run(orders: Orders, workers: int, handle: Callable[[int], optuna.Trial], observer: Observer) -> list[Worker]:
    """Run a study by so many workers until nothing is left of its budget.

    Args:
        handle: Optuna's handle on a trial by its number.
        observer: sees what every worker's observer saw, in the order in which it comes.

    Raises:
        RequestError: a worker refuses its orders.
        EnvironmentFault: a worker cannot do its work, or dies again and again.
    """
    team = [Worker(index) for index in range(workers)]
    end = None if orders.timeout is None else time.monotonic() + orders.timeout

    def start(worker: Worker) -> None:
        left = None if end is None else max(0.001, end - time.monotonic())
        _start(worker, replace(orders, timeout=left), lines)

    lines: queue.Queue[tuple[Worker, str | None]] = queue.Queue()
    with _ended(team):
        for worker in team:
            start(worker)
        working = set(range(workers))
        while working:
            worker, line = lines.get()
            if line is not None:
                _take(worker, line, handle, observer)
            elif _is_done(worker):
                working.discard(worker.index)
            else:
                why = worker.last or "killed"
                print(f"worker {worker.index} has ended ({why}): starting it again", file=sys.stderr, flush=True)
                time.sleep(_PAUSE * 2 ** (worker.deaths - 1))
                start(worker)
    return team


def _take(worker: Worker, line: str, handle: Callable[[int], optuna.Trial], observer: Observer) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        return  # torn: the worker was killed in the middle of it
    worker.heard = True
    if event["event"] == "told":
        worker.trials += 1
        worker.deaths = 0
    elif event["event"] == "epoch":
        worker.epochs += sum(len(next(iter(one["curves"].values()))[-1]) for one in event["members"])
    # A server that is away for a while: what is shown has a gap, the study has none.
    with suppress(StorageInternalError, SQLAlchemyError):
        pass_on(event, handle, observer)


def _is_done(worker: Worker) -> bool:
    """Whether a worker that has ended has done its work; else it is to be started again."""
    assert worker.process is not None
    status = worker.process.wait()
    told = worker.last.removeprefix("error: ")
    if status == 2:
        raise RequestError(told)
    worker.deaths += status != 0
    if worker.deaths == _PATIENCE or (status == 1 and not worker.heard):
        how = f"was killed by signal {-status}" if status < 0 else told
        raise EnvironmentFault(f"worker {worker.index}: {how}")
    return status == 0


def _start(worker: Worker, orders: Orders, lines: queue.Queue[tuple[Worker, str | None]]) -> None:
    worker.last = ""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(orders.threads)}
    if (gpus := torch.cuda.device_count() if orders.device != "cpu" else 0) > 1:
        environment["CUDA_VISIBLE_DEVICES"] = _visible(worker.index % gpus)
    process = worker.process = subprocess.Popen(
        [sys.executable, "-m", "search.scale.worker"], env=environment, text=True, bufsize=1,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the command, which ends its workers
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(orders.line())
    process.stdin.flush()

    def read_errors() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            worker.last = line.strip() or worker.last
            if line.strip() and not line.startswith("error: "):  # which is told when it has ended
                print(f"worker {worker.index}: {line.rstrip()}", file=sys.stderr, flush=True)

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put((worker, line))
        errors.join()
        lines.put((worker, None))

    errors = threading.Thread(target=read_errors, daemon=True)
    errors.start()
    threading.Thread(target=read, daemon=True).start()


def _visible(index: int) -> str:
    """The name of a GPU among those that this process sees."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return seen.split(",")[index] if seen else str(index)


@contextmanager
def _ended(team: list[Worker]) -> Iterator[None]:
    """Nobody of a team is left when the block has ended, however it does."""
    try:
        yield
    finally:
        for worker in team:
            if worker.process is not None and worker.process.stdin is not None:
                worker.process.stdin.close()
        for worker in team:
            if worker.process is not None:
                try:
                    worker.process.wait(timeout=2)
                except subprocess.TimeoutExpired:
                    worker.process.kill()
                    worker.process.wait()
