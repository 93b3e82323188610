"""A worker as a Ray task: what runs on a node of the cluster."""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from search.data import Data
from search.errors import EnvironmentFault, RequestError
from search.study.worker import train
from search.workers.orders import Orders
from search.workers.shipping import versions
from search.workers.team import Ended

if TYPE_CHECKING:
    from ray import ObjectRef

_TOGETHER = 0.2  # seconds of events that go to the command as one message, because a message costs about a millisecond


def work(
    line: str, data: Sequence[ObjectRef[Data]], sources: Mapping[str, str], wanted: Mapping[str, str], folder: str
) -> Iterator[list[str | Ended]]:
    """Run a worker, and yield an empty list once it has its place, then its events, and at last its end.

    Args:
        line: the orders.
        data: a reference to the data of the study in the object store.
        sources: the text of each file of a technique or metric, by its path in the orders.
        wanted: the `versions` of the command.
        folder: the folder that the command runs in, with its checkpoints; nodes that share their files have it too.
    """
    import ray

    yield []
    node = f"node {ray.util.get_node_ip_address()}"
    if differing := [f"{name} {here}, not {wanted[name]}" for name, here in versions().items() if here != wanted[name]]:
        yield [Ended(2, f"{node} has {'; '.join(differing)}: install the same versions on every node")]
        return
    orders = Orders(**json.loads(line))
    with suppress(OSError):
        os.chdir(folder)
    if orders.checkpoint and os.getcwd() != folder:
        yield [Ended(2, f"--checkpoint: {node} has no folder {folder}: it needs a folder that the nodes share")]
        return
    messages: queue.SimpleQueue[str | Ended] = queue.SimpleQueue()
    # The study runs in a thread of its own, because this one passes its events on.
    threading.Thread(target=_live, args=(orders, ray.get(data[0]), sources, messages), daemon=True).start()
    while True:
        batch = [messages.get()]
        time.sleep(_TOGETHER)
        with suppress(queue.Empty):
            while True:
                batch.append(messages.get_nowait())
        yield batch
        if isinstance(batch[-1], Ended):
            return


def _live(orders: Orders, data: Data, sources: Mapping[str, str], messages: queue.SimpleQueue[str | Ended]) -> None:
    try:
        with tempfile.TemporaryDirectory() as place:
            files = {
                path: _written(Path(place, str(number)), path, text)
                for number, (path, text) in enumerate(sources.items())
            }
            techniques, metrics = ([files[path] for path in paths] for paths in (orders.techniques, orders.metrics))
            train(replace(orders, techniques=techniques, metrics=metrics), messages.put, data)
        end = Ended(0, "")
    except RequestError as error:
        end = Ended(2, str(error))
    except EnvironmentFault as error:
        end = Ended(1, str(error))
    except BaseException as error:
        end = Ended(1, f"{type(error).__name__}: {error}")
    messages.put(end)


def _written(folder: Path, path: str, text: str) -> str:
    """Write a user's file under its own name, and return its path."""
    folder.mkdir()
    file = folder / Path(path).name
    file.write_text(text)
    return str(file)
