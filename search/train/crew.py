"""Packs side by side on the CPU's cores.

On the CPU small products gain more from packs that train side by side, one thread each, than from threads that share
each product: nothing waits at the end of every operation, and another process that takes a core away (the MLflow
writer) slows one pack, not all. On a GPU one pack fills the device. Which thread trains a pack changes no bit of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

import torch

Item = TypeVar("Item")


def threads(device: torch.device) -> int:
    """How many packs shall train at a time on this device: torch's threads on the CPU, one on a GPU."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def side_by_side(jobs: Sequence[Callable[[], Iterator[Item]]], workers: int) -> Generator[Item]:
    """What the jobs yield, as it comes, `workers` of them running at a time in threads of their own.

    A job's exception is raised here. Closing this iterator stops every job at its next item.
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
    # Bounded: a job that is ahead waits until what it measured has been taken in.
    results: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(4 * workers)

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
                    results.put((item, None))
                    if stop.is_set():
                        break
        except BaseException as error:
            failure = error
        results.put((None, failure))

    # Daemons: a second Ctrl-C, while the first waits for the epochs in hand, ends the process.
    team = [threading.Thread(target=work, name=f"pack-{i}", daemon=True) for i in range(workers)]
    before = torch.get_num_threads()
    try:
        for thread in team:
            thread.start()
        running = workers
        while running:
            item, error = results.get()
            if error is not None:
                raise error
            if item is None:
                running -= 1
            else:
                yield item
    finally:
        stop.set()
        while any(thread.is_alive() for thread in team):
            # Whoever waits for room in the queue gets it, sees the stop and leaves.
            try:
                results.get(timeout=0.05)
            except queue.Empty:
                continue
        torch.set_num_threads(before)
