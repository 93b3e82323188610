"""Packs that train side by side on the CPU's cores.

On the CPU, small matrix products run faster when packs train side by side, one thread each, than when several threads
share each product: no thread waits for the others at the end of every operation. Another process that takes a core
away, such as the MLflow writer, then slows one pack, not all. On a GPU one pack fills the device. The thread that
trains a pack does not affect its results.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


def threads(device: torch.device) -> int:
    """Return how many packs train at a time on a device: as many as torch has threads on the CPU, one on a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def side_by_side(jobs: Sequence[Callable[[], Iterator[Item]]], workers: int) -> Generator[Item]:
    """Run the jobs, `workers` of them at a time in threads of their own, and yield their items as they come.

    An exception in a job is raised here. Closing this iterator stops every job at its next item.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        for job in jobs:
            yield from job()
        return
    each = max(1, torch.get_num_threads() // workers)
    waiting = iter(jobs)
    lock = threading.Lock()
    stop = threading.Event()
    # Bounded, so that a job that is ahead waits until its items have been used.
    results: queue.Queue[tuple[tuple[Item, ...], BaseException | None]] = queue.Queue(4 * workers)

    def work() -> None:
        torch.set_num_threads(each)
        failure: BaseException | None = None
        try:
            while not stop.is_set():
                with lock:
                    job = next(waiting, None)
                if job is None:
                    break
                for item in job():
                    results.put(((item,), None))
                    if stop.is_set():
                        break
        except BaseException as error:
            failure = error
        results.put(((), failure))

    # Daemons, so that a second Ctrl-C ends the process while the first waits for the present epochs to end.
    team = [threading.Thread(target=work, name=f"pack-{i}", daemon=True) for i in range(workers)]
    before = torch.get_num_threads()
    try:
        for thread in team:
            thread.start()
        running = workers
        while running:
            items, error = results.get()
            if error is not None:
                raise error
            running -= not items
            yield from items
    finally:
        stop.set()
        while any(thread.is_alive() for thread in team):
            # Make room in the queue, so that a job that waits for it goes on, sees the stop and ends.
            try:
                results.get(timeout=0.05)
            except queue.Empty:
                continue
        torch.set_num_threads(before)


def share() -> int:
    return 1
