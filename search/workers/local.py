"""Workers on this machine: each is a process with its share of the cores, or with a GPU."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from search.cli import child
from search.data import Data
from search.train.crew import cores
from search.workers import gpus
from search.workers.orders import Orders
from search.workers.shipping import portable
from search.workers.team import Ended


class LocalEngine:
    """An engine that starts each worker as a process; all of them end when this process ends.

    Args:
        workers: the number of workers that share the cores.
        module: the name of the module that a worker runs, as by ``python -m``.
        data: the data of the study, if a worker cannot read them itself.
    """

    def __init__(self, workers: int, module: str, data: Data | None = None) -> None:
        self._module = module
        # Only this process can write to a worker's input, so the worker may read a pickle there.
        self._data = "" if data is None else base64.b64encode(pickle.dumps(portable(data))).decode()
        self._workers, self._cores = workers, cores()
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, index: int, orders: Orders, hear: Callable[[str | Ended], None]) -> None:
        # Shares differ by one core at most, and no core is left over.
        share = max(1, self._cores // self._workers + (index < self._cores % self._workers))
        environment = child.environment() | {"OMP_NUM_THREADS": str(share)}
        if shared := gpus.in_turn(orders.device):
            environment[gpus.VISIBLE] = shared[index % len(shared)]
        process = self._processes[index] = subprocess.Popen(
            [sys.executable, "-m", self._module],
            env=environment,
            text=True,
            bufsize=1,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the command only, which ends its workers
        )
        # A pipe holds less than large data, and the worker reads them only once it has started.
        lines = f"{replace(orders, threads=share).line()}{self._data}\n"
        threading.Thread(target=_write, args=(process, lines), daemon=True).start()
        threading.Thread(target=_read, args=(index, process, hear), daemon=True).start()

    def stop(self, index: int) -> None:
        self._processes[index].kill()
        self._processes[index].wait()

    def close(self) -> None:
        for process in self._processes.values():
            if process.stdin is not None:
                with suppress(OSError):  # the process has died before it read its orders
                    process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _write(process: subprocess.Popen[str], lines: str) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError, ValueError):  # it has died already, or was told to end
        process.stdin.write(lines)
        process.stdin.flush()


def _read(index: int, process: subprocess.Popen[str], hear: Callable[[str | Ended], None]) -> None:
    """Pass a worker's events on until it has ended."""
    last = ""

    def read_errors() -> None:
        nonlocal last
        assert process.stderr is not None
        for line in process.stderr:
            last = line.strip() or last
            if line.strip() and not line.startswith("error: "):  # its error is reported with its end
                print(f"worker {index}: {line.rstrip()}", file=sys.stderr, flush=True)

    errors = threading.Thread(target=read_errors, daemon=True)
    errors.start()
    assert process.stdout is not None
    for line in process.stdout:
        hear(line)
    errors.join()
    status = process.wait()
    killed = f"killed by signal {-status}" if status < 0 else ""
    hear(Ended(None if killed else status, killed or last.removeprefix("error: ")))
