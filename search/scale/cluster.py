"""Workers on a Ray cluster: tasks, placed by Ray where the CPUs and GPUs are that each asks for.

A task runs a worker's whole life, so what Ray schedules is not a trial but cohort after cohort of packs. The data are
in the cluster's object store once, whatever reads them. A task that dies with its process or its node is started again
(`search.scale.team`) wherever there is room then.

Source: Ray, "Dynamic generators", "Resources", "Fault tolerance".
"""

from __future__ import annotations

import importlib.util
import logging
import os
import queue
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search import database
from search.data import Data
from search.errors import EnvironmentFault, RequestError, clip, counted
from search.scale import task
from search.scale.orders import Orders
from search.scale.team import Ended

_AGREE = "install the same versions of Python, Ray, torch and regsearch on every node"
_ANSWER = 20.0  # seconds that a cluster has to answer in
_given: str | None = None  # the address by which this process has joined a cluster: Ray's own may be another
_UNPLACED = 10.0  # seconds without a place after which that is said


@dataclass(frozen=True)
class Share:
    """What each worker asks of the cluster."""

    cpus: int
    gpus: int

    def room(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """How many workers nodes of these resources have room for."""
        fits = [[node.get("CPU", 0) // self.cpus, *([node.get("GPU", 0) // self.gpus] if self.gpus else [])]
                for node in nodes]  # fmt: skip
        return int(sum(min(each) for each in fits))

    def __str__(self) -> str:
        return counted(self.cpus, "CPU") + (f" and {counted(self.gpus, 'GPU')}" if self.gpus else "")


def share(nodes: Sequence[Mapping[str, float]], workers: int, device: str) -> Share:
    """A GPU and a CPU for each worker where the cluster has GPUs; else as many CPUs as all can have.

    Raises:
        RequestError: the cluster has not so many.
    """
    gpus = int(device == "cuda" or (device == "auto" and any(node.get("GPU", 0) >= 1 for node in nodes)))
    least = Share(1, gpus)
    if (room := least.room(nodes)) < workers:
        there = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
        raise RequestError(
            f"the cluster has room for {counted(room, 'worker')} of {least}, asked for {workers}: it has"
            f" {counted(int(there['CPU']), 'CPU')} and {counted(int(there['GPU']), 'GPU')} on"
            f" {counted(len(nodes), 'node')}" + (f"; give --workers {room}" if room else "")
        )
    most = 1 if gpus else int(max(node.get("CPU", 0) for node in nodes))
    return next(each for cpus in range(most, 0, -1) if (each := Share(cpus, gpus)).room(nodes) >= workers)


def confirm(storage: str, workers: int, device: str, address: str | None) -> Share:
    """Connect this process to the cluster, to which it then belongs to its end, and see that it has what is asked for.

    Args:
        storage: URL of the study's.
        address: of the cluster's head; None for the cluster that this machine belongs to.

    Raises:
        EnvironmentFault: Ray is not installed, or its cluster cannot be reached or is of another version.
        RequestError: the cluster lacks the resources, or its nodes cannot reach the storage.
    """
    if importlib.util.find_spec("ray") is None:
        raise EnvironmentFault("engine ray: Ray is not installed: pip install 'regsearch[ray,postgres]'")
    _connect(address or "auto")
    import ray

    nodes = [node for node in ray.nodes() if node["Alive"]]
    here = ray.util.get_node_ip_address()
    elsewhere = [node["NodeManagerAddress"] for node in nodes if node["NodeManagerAddress"] != here]
    if elsewhere and database.sqlite_path(storage) is not None:
        raise RequestError(
            f"storage {database.shown(storage)} is a file of this machine, which {elsewhere[0]} and the cluster's other"
            " nodes cannot reach: give --storage postgresql://USER@HOST/DATABASE"
        )
    return share([node["Resources"] for node in nodes], workers, device)


def _connect(address: str) -> None:
    if address.startswith("ray://"):
        raise RequestError(f"address {clip(address)} is Ray Client's: run the command on a node, with address auto")
    # Else workers are started by `uv run` in a copy of the working folder where this process is.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    global _given
    if ray.is_initialized():
        connected = ray.get_runtime_context().gcs_address
        if address not in ("auto", _given, connected):
            raise RequestError(f"this process belongs to the Ray cluster at {connected}, got address {clip(address)}")
        return
    host, _, port = address.rpartition(":")
    try:
        if port.isdecimal():  # else Ray looks for one
            socket.create_connection((host, int(port)), timeout=5).close()
        _init(address)
        _given = address
    except RuntimeError as error:
        raise EnvironmentFault(f"Ray at address {clip(address)}: {_sentence(error)}; {_AGREE}") from None
    except (OSError, OverflowError, ValueError) as error:
        raise EnvironmentFault(
            f"no Ray cluster at address {clip(address)} ({_sentence(error)}): start one with `ray start --head`"
        ) from None


def _init(address: str) -> None:
    """`ray.init` with less patience, which is for minutes, and on no main thread, where it would take SIGTERM."""
    import ray

    said: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def init() -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            said.put(error)
        else:
            said.put(None)

    threading.Thread(target=init, daemon=True).start()
    try:
        error = said.get(timeout=_ANSWER)
    except queue.Empty:
        raise TimeoutError(f"no answer within {_ANSWER:.0f} s") from None
    if error is not None:
        raise error


class RayEngine:
    """Starts each worker as a task.

    Args:
        share: what each asks for.
        data: the study's.
        techniques: paths of the files that define those from outside; their text goes with the orders.
    """

    def __init__(self, share: Share, data: Data, techniques: Sequence[str]) -> None:
        import ray

        self._share = share
        self._data = ray.put(task.portable(data))
        self._sources = {path: Path(path).read_text() for path in techniques}
        task_of = ray.remote(
            num_cpus=share.cpus, num_gpus=share.gpus, scheduling_strategy="SPREAD", num_returns="streaming",
            max_calls=1,  # a process of its own for each life
            max_retries=0,  # which would leave out as many events as the life before has told: the command starts it
        )  # fmt: skip
        self._work = task_of(task.work)
        self._lives: dict[int, Any] = {}

    def start(self, index: int, orders: Orders, hear: Callable[[str | Ended], None]) -> None:
        if (path := database.sqlite_path(orders.storage)) is not None:
            orders = replace(orders, storage=f"sqlite:///{path}")
        orders = replace(orders, threads=self._share.cpus, device="cuda" if self._share.gpus else "cpu")
        # In a list, the data are fetched by the task, after it has compared versions.
        life = self._work.remote(orders.line(), [self._data], self._sources, task.versions(), os.getcwd())
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

        end = Ended(None, "its task has ended without a word")
        try:
            if not ray.wait([life], timeout=_UNPLACED)[0]:
                waits = f"waits for a place: it asks for {self._share}, which the cluster has not free now"
                print(f"worker {index} {waits}", file=sys.stderr, flush=True)
            for some in life:
                for said in ray.get(some):
                    hear(said)
                    if isinstance(said, Ended):
                        return
        except ray.exceptions.RayTaskError as error:
            advice = f": {_AGREE}" if isinstance(error.cause, ImportError) else ""
            end = Ended(1, f"{_first_line(error.cause)}{advice}")
        except Exception as error:
            end = Ended(None, _sentence(error))
        hear(end)


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".:")


def _sentence(error: Exception) -> str:
    """The first of what Ray says, on one line: advice on its logs follows."""
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
