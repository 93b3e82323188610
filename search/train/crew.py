"""Packs that train side by side on the CPU's cores, each on one thread.

Small operations run faster when packs train side by side than when several threads share each operation: no thread
waits for the others at the end of every one. Where another process takes a core away, this wait lasts until the core is
given back, which is a thousand times as long as a small operation. So on the CPU this package runs torch on one thread
everywhere (`one_thread`). Several cores are used by several packs, and by code of a pack that asks for its `share`.

On a GPU one pack fills the device. Which thread trains a pack, and beside which others, does not affect its results.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import TypeVar

import torch

from search.train.machine import usable_cores

Item = TypeVar("Item")


class _Team:
    """The jobs that run side by side at the moment.

    Args:
        cores: the number of cores that they share.
        running: the number of jobs; it falls when there are none left to begin.
    """

    def __init__(self, cores: int, running: int) -> None:
        self.cores, self.running = cores, running

    @property
    def share(self) -> int:
        return max(1, self.cores // max(1, self.running))


class _Here(threading.local):
    """What each thread knows of itself.

    Attributes:
        cores: the result of `cores`, from a time when torch still had the number of threads that the user wants.
        team: the team of the job that runs in this thread.
    """

    cores: int | None = None
    team: _Team | None = None


_here = _Here()


def cores() -> int:
    """Return the number of cores for the work of this process: at least one.

    They are those of `usable_cores`, or fewer if torch has fewer threads. The user sets these by ``OMP_NUM_THREADS`` or
    `torch.set_num_threads`; by default torch has one for each physical core.
    """
    return _here.cores or max(1, min(torch.get_num_threads(), usable_cores()))


def threads(device: torch.device) -> int:
    """Return how many packs train at a time on a device: as many as there are cores on the CPU, one on a GPU."""
    return cores() if device.type == "cpu" else 1


def share() -> int:
    """Return how many cores the job that runs in this thread may use for itself: its part of `cores`, at least one.

    It grows when other jobs have ended and none are left to begin. Outside of `side_by_side` it is 1.
    """
    return 1 if _here.team is None else _here.team.share


@contextmanager
def one_thread(known_cores: int | None = None) -> Iterator[None]:
    """Run torch's operations on one thread in this block; afterwards on as many as before.

    `cores` returns the same inside of the block as outside. The number of threads is that of the calling thread, and
    the default of threads that begin meanwhile. As a decorator, it does the same for a function.

    Args:
        known_cores: the result of `cores`, if the caller has it: it reads files.
    """
    before, known = torch.get_num_threads(), _here.cores
    _here.cores = known_cores or cores()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _here.cores = known


def side_by_side(jobs: Sequence[Callable[[], Iterator[Item]]], workers: int) -> Generator[Item]:
    """Run the jobs, `workers` of them at a time, each on one torch thread, and yield their items as they come.

    Several jobs run in threads of their own. One at a time runs in the calling thread, where torch has as many threads
    as before whenever an item is yielded.

    An exception in a job is raised here. Closing this iterator stops every job at its next item.
    """
    workers = min(workers, len(jobs))
    team = _Team(cores(), workers)
    if workers > 1:
        yield from _in_threads(jobs, team)
        return
    for job in jobs:
        items = job()
        try:
            yield from _step_by_step(items, team)
        finally:
            if isinstance(items, Generator):
                items.close()


def _step_by_step(items: Iterator[Item], team: _Team) -> Iterator[Item]:
    """Yield a job's items; only while it works on the next one, this thread is in the team."""
    outer = _here.team
    while True:
        with one_thread(team.cores):
            _here.team = team
            try:
                found = [*islice(items, 1)]
            finally:
                _here.team = outer
        if not found:
            return
        yield from found


def _in_threads(jobs: Sequence[Callable[[], Iterator[Item]]], team: _Team) -> Generator[Item]:
    waiting = iter(jobs)
    lock = threading.Lock()
    stop = threading.Event()
    # Bounded, so that a job that is ahead waits until its items have been used.
    results: queue.Queue[tuple[tuple[Item, ...], BaseException | None]] = queue.Queue(4 * team.running)

    def next_job() -> Callable[[], Iterator[Item]] | None:
        with lock:
            job = next(waiting, None)
            team.running -= job is None
            return job

    def work() -> None:
        # Torch's number of threads is a thread's own, but it becomes the default of threads that begin later.
        torch.set_num_threads(1)
        _here.cores, _here.team = team.cores, team
        failure: BaseException | None = None
        try:
            while not stop.is_set() and (job := next_job()) is not None:
                for item in job():
                    results.put(((item,), None))
                    if stop.is_set():
                        break
        except BaseException as error:
            failure = error
        results.put(((), failure))

    # Daemons, so that a second Ctrl-C ends the process while the first waits for the present epochs to end.
    members = [threading.Thread(target=work, name=f"pack-{i}", daemon=True) for i in range(team.running)]
    before = torch.get_num_threads()
    try:
        for thread in members:
            thread.start()
        running = len(members)
        while running:
            items, error = results.get()
            if error is not None:
                raise error
            running -= not items
            yield from items
    finally:
        stop.set()
        while any(thread.is_alive() for thread in members):
            # Make room in the queue, so that a job that waits for it goes on, sees the stop and ends.
            try:
                results.get(timeout=0.05)
            except queue.Empty:
                continue
        torch.set_num_threads(before)


@cache
def _helpers(_process: int) -> ThreadPoolExecutor:
    # Threads do not survive a fork, so that each process has its own.
    return ThreadPoolExecutor(thread_name_prefix="kernels")


def together(work: Sequence[Callable[[], None]]) -> None:
    """Call several functions at the same time, the first of them in this thread, and wait for all."""
    helpers = _helpers(os.getpid())
    others = [helpers.submit(one) for one in work[1:]]
    work[0]()
    for other in others:
        other.result()
