"""Workers on a Ray cluster: each is a task, which Ray places on a node with the CPUs and GPUs that it asks for.

One task runs for as long as its worker works, cohort after cohort: Ray does not schedule single trials. The data are
in the cluster's object store once, however many workers read them. A task that dies with its process or its node is
started again (`search.workers.team`) wherever there is room then.

Source: Ray, "Dynamic generators", "Resources", "Fault tolerance".
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search.data import Data
from search.errors import EnvironmentFault, RequestError, counted
from search.storage import database
from search.workers import shipping
from search.workers.connection import AGREE, join, sentence
from search.workers.orders import Orders
from search.workers.team import Ended

_UNPLACED = 10.0  # seconds that a task waits for a place before a line says so


@dataclass(frozen=True)
class Share:
    """The CPUs and GPUs that each worker asks the cluster for."""

    cpus: int
    gpus: int

    def room(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many workers fit on nodes with these resources."""
        fits = [
            [node.get("CPU", 0) // self.cpus, *([node.get("GPU", 0) // self.gpus] if self.gpus else [])]
            for node in nodes
        ]
        return int(sum(min(each) for each in fits))

    def __str__(self) -> str:
        return counted(self.cpus, "CPU") + (f" and {counted(self.gpus, 'GPU')}" if self.gpus else "")


def share(nodes: Sequence[Mapping[str, float]], workers: int, device: str) -> Share:
    """Return a GPU and a CPU for each worker if the cluster has GPUs; otherwise as many CPUs as all workers can have.

    Raises:
        RequestError: the cluster has too few CPUs or GPUs for so many workers, or the device is one GPU.
    """
    if device.startswith("cuda:"):
        raise RequestError(f"engine ray gives each worker a GPU: use --device cuda or auto, got {device}")
    gpus = int(device == "cuda" or (device == "auto" and any(node.get("GPU", 0) >= 1 for node in nodes)))
    least = Share(1, gpus)
    if (room := least.room(nodes)) < workers:
        there = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
        raise RequestError(
            f"the cluster has room for {counted(room, 'worker')} with {least} each, not for {workers}: it has"
            f" {counted(int(there['CPU']), 'CPU')} and {counted(int(there['GPU']), 'GPU')} on"
            f" {counted(len(nodes), 'node')}" + (f"; give --workers {room}" if room else "")
        )
    most = 1 if gpus else int(max(node.get("CPU", 0) for node in nodes))
    return next(each for cpus in range(most, 0, -1) if (each := Share(cpus, gpus)).room(nodes) >= workers)


def join_cluster(storage: str, workers: int, device: str, address: str | None) -> Share:
    """Join the cluster, and make sure that it has the resources for the workers.

    Args:
        storage: the URL of the study's storage.
        workers: the number of workers.
        device: the device that the study trains on: "auto", "cpu" or "cuda"; Ray chooses the GPU of each worker.
        address: the address of the cluster, as `connection.join` takes it.

    Raises:
        EnvironmentFault: Ray is not installed, or its cluster cannot be reached or runs another version.
        RequestError: the cluster lacks the resources, or its nodes cannot reach the storage.
    """
    if importlib.util.find_spec("ray") is None:
        raise EnvironmentFault("engine ray: Ray is not installed: pip install 'regsearch[ray,postgres]'")
    join(address)
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    here = ray.util.get_node_ip_address()
    elsewhere = [node["NodeManagerAddress"] for node in nodes if node["NodeManagerAddress"] != here]
    if elsewhere and database.sqlite_path(storage) is not None:
        raise RequestError(
            f"storage {database.shown(storage)} is a file on this machine, which {elsewhere[0]} and the other nodes of"
            " the cluster cannot reach: give --storage postgresql://USER@HOST/DATABASE"
        )
    return share([node["Resources"] for node in nodes], workers, device)


class RayEngine:
    """An engine that starts each worker as a task.

    Args:
        share: the resources that each worker asks for.
        data: the data of the study.
        files: the paths of the users' own files of techniques and metrics; their text goes with the orders.
        work: what a task runs, a generator function; see `search.study.ray_task`.
    """

    def __init__(self, share: Share, data: Data, files: Sequence[str], work: Callable[..., Any]) -> None:
        import ray

        self._share = share
        self._data = ray.put(shipping.portable(data))
        self._sources = {path: Path(path).read_text() for path in files}
        self._versions = shipping.versions()
        task_of = ray.remote(
            num_cpus=share.cpus,
            num_gpus=share.gpus,
            scheduling_strategy="SPREAD",
            num_returns="streaming",
            max_calls=1,  # a new process for each task
            max_retries=0,  # Ray's retry would skip as many events as were sent before: the command starts it again
        )
        self._work = task_of(work)
        self._lives: dict[int, Any] = {}

    def start(self, index: int, orders: Orders, hear: Callable[[str | Ended], None]) -> None:
        orders = replace(orders, threads=self._share.cpus, device="cuda" if self._share.gpus else "cpu")
        # The reference is in a list, so that the task fetches the data itself, after comparing the versions.
        life = self._work.remote(orders.line(), [self._data], self._sources, self._versions, os.getcwd())
        self._lives[index] = life
        threading.Thread(target=self._listen, args=(index, life, hear), daemon=True).start()

    def stop(self, index: int) -> None:
        import ray

        ray.cancel(self._lives[index], force=True)

    def close(self) -> None:
        for index in self._lives:
            self.stop(index)

    def _listen(self, index: int, life: Any, hear: Callable[[str | Ended], None]) -> None:
        import ray

        end = Ended(None, "its task has ended without a message")
        try:
            if not ray.wait([life], timeout=_UNPLACED)[0]:
                waits = f"waits for a place in the cluster: it needs {self._share}"
                print(f"worker {index} {waits}", file=sys.stderr, flush=True)
            for batch in life:
                for message in ray.get(batch):
                    hear(message)
                    if isinstance(message, Ended):
                        return
        except ray.exceptions.RayTaskError as error:
            advice = f": {AGREE}" if isinstance(error.cause, ImportError) else ""
            end = Ended(1, f"{sentence(error.cause)}{advice}")
        except Exception as error:
            end = Ended(None, sentence(error))
        hear(end)
