"""Join a Ray cluster, or say in one line why that fails.

Source: Ray, "Configuring Ray", "Ray Client".
"""

from __future__ import annotations

import logging
import os
import queue
import re
import signal
import socket
import sys
import threading

from search.errors import EnvironmentFault, RequestError, clip
from search.storage.database import shown

AGREE = "install the same versions of Python, Ray, torch and regsearch on every node"
_ANSWER = 20.0  # seconds within which a cluster must answer
_PLACE = re.compile(r"(?P<host>\[[\da-fA-F:]+\]|[^\s/@:]+):(?P<port>\d{1,5})")
_joined: str | None = None  # the address by which this process has joined its cluster; Ray may call it by another


def join(address: str | None) -> None:
    """Join a cluster, which this process then belongs to until it ends.

    Args:
        address: ``HOST:PORT`` of the head node, or "auto", the cluster that this machine belongs to. By default the
            environment variable RAY_ADDRESS is used, or else the cluster that this machine belongs to; if it belongs
            to none, Ray is started on this machine, as by `ray.init()`.

    Raises:
        RequestError: the address is malformed, or this process belongs to another cluster already.
        EnvironmentFault: nothing answers there, or the cluster runs another version of Ray.
    """
    global _joined
    what, given = ("address", address) if address else ("RAY_ADDRESS", os.environ.get("RAY_ADDRESS", ""))
    chosen, given = bool(given.strip()), given.strip() or "auto"
    there = _PLACE.fullmatch(given)
    if given != "auto" and (there is None or int(there["port"]) > 65535):
        client = ": Ray Client (ray://) is not supported" if given.startswith("ray://") else ""
        raise RequestError(f"{what} takes HOST:PORT of a cluster's head, or auto, got {clip(shown(given))!r}{client}")
    # Without this, a process under `uv run` has Ray start its workers by `uv run`, in a copy of the working folder.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        connected = ray.get_runtime_context().gcs_address
        if given not in ("auto", _joined, connected):
            raise RequestError(f"this process belongs to the Ray cluster at {connected} already, got {what} {given}")
        return
    try:
        if there is not None:  # otherwise Ray looks for a cluster
            socket.create_connection((there["host"].strip("[]"), int(there["port"])), timeout=5).close()
        if chosen:
            _init(given)
        else:
            _init_here()
        _joined = given
    except RuntimeError as error:
        raise EnvironmentFault(f"Ray at {what} {given}: {sentence(error)}; {AGREE}") from None
    except (OSError, ValueError) as error:
        raise EnvironmentFault(
            f"there is no Ray cluster at {what} {given} ({sentence(error)}): start one with `ray start --head`"
        ) from None
    if threading.current_thread() is threading.main_thread():
        # Ray has set a handler that prints a stack and then calls Python's: set Python's own again.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _init_here() -> None:
    """Join the cluster that this machine belongs to, or start Ray on this machine."""
    try:
        _init("auto")
    except ConnectionError:
        print("there is no Ray cluster here: starting Ray on this machine (--address joins one)", file=sys.stderr)
        _init(None)


def _init(address: str | None) -> None:
    """Call `ray.init` in a thread of its own: on the main one it would wait for minutes and take over SIGTERM."""
    import ray

    outcome: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def init() -> None:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            outcome.put(error)
        else:
            outcome.put(None)

    threading.Thread(target=init, daemon=True).start()
    try:
        error = outcome.get(timeout=_ANSWER)
    except queue.Empty:
        raise TimeoutError(f"no answer within {_ANSWER:.0f} s") from None
    if error is not None:
        raise error


def sentence(error: BaseException) -> str:
    """Return the first sentence of Ray's message, on one line; advice on Ray's logs follows it."""
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
