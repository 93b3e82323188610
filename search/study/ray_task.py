"""A worker as a task of Ray's: what runs on a node of the cluster."""

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

_TOGETHER = 0.2  # seconds whose events go to the command as one message: each message costs about a millisecond


def work(
    line: str, data: Sequence[ObjectRef[Data]], sources: Mapping[str, str], wanted: Mapping[str, str], folder: str
) -> Iterator[list[str | Ended]]:
    """A worker's life: first nothing, as it has its place; then its events, and at last its end.

    Args:
        line: its orders.
        data: a reference to the study's, in the object store.
        sources: the text of each file of techniques, by its path in the orders.
        wanted: the command's `versions`.
        folder: the one that the command runs in, with its checkpoints; there is one where nodes share their files.
    """
    import ray

    yield []
    node = f"node {ray.util.get_node_ip_address()}"
    if differing := [f"{name} {here}, not {wanted[name]}" for name, here in versions().items() if here != wanted[name]]:
        yield [Ended(2, f"{node} has {'; '.join(differing)}: install the same on every node")]
        return
    orders = Orders(**json.loads(line))
    with suppress(OSError):
        os.chdir(folder)
    if orders.checkpoint and os.getcwd() != folder:
        yield [Ended(2, f"--checkpoint: {node} has no folder {folder}; give it where nodes share their files")]
        return
    said: queue.SimpleQueue[str | Ended] = queue.SimpleQueue()
    # A thread of its own, because this one passes on what it says.
    threading.Thread(target=_live, args=(orders, ray.get(data[0]), sources, said), daemon=True).start()
    while True:
        some = [said.get()]
        time.sleep(_TOGETHER)
        with suppress(queue.Empty):
            while True:
                some.append(said.get_nowait())
        yield some
        if isinstance(some[-1], Ended):
            return


def _live(orders: Orders, data: Data, sources: Mapping[str, str], said: queue.SimpleQueue[str | Ended]) -> None:
    try:
        with tempfile.TemporaryDirectory() as place:
            techniques = [_written(Path(place, str(number)), *each) for number, each in enumerate(sources.items())]
            train(replace(orders, techniques=techniques), said.put, data)
        end = Ended(0, "")
    except RequestError as error:
        end = Ended(2, str(error))
    except EnvironmentFault as error:
        end = Ended(1, str(error))
    except BaseException as error:
        end = Ended(1, f"{type(error).__name__}: {error}")
    said.put(end)


def _written(folder: Path, path: str, text: str) -> str:
    """A file of techniques, under its own name."""
    folder.mkdir()
    file = folder / Path(path).name
    file.write_text(text)
    return str(file)
