"""This process's place in a Ray cluster: found, or not found, in a line.

Source: Ray, "Configuring Ray", "Ray Client".
"""

from __future__ import annotations

import logging
import os
import queue
import re
import signal
import socket
import threading

from search.errors import EnvironmentFault, RequestError, clip
from search.storage.database import shown

AGREE = "install the same versions of Python, Ray, torch and regsearch on every node"
_ANSWER = 20.0  # seconds that a cluster has to answer in
_PLACE = re.compile(r"(?P<host>\[[\da-fA-F:]+\]|[^\s/@:]+):(?P<port>\d{1,5})")
_joined: str | None = None  # the address by which this process has joined a cluster: Ray's own may be another


def join(address: str | None) -> None:
    """Make this process one of a cluster's, to which it then belongs to its end.

    Args:
        address: ``HOST:PORT`` of its head, or "auto", the cluster that this machine belongs to; default what the
            environment's RAY_ADDRESS says, or else "auto".

    Raises:
        RequestError: that is no address, or another cluster's than the one to which this process belongs.
        EnvironmentFault: nobody answers there, or a cluster of another version of Ray.
    """
    global _joined
    what, given = ("address", address) if address else ("RAY_ADDRESS", os.environ.get("RAY_ADDRESS") or "auto")
    given = given.strip()
    there = _PLACE.fullmatch(given)
    if given != "auto" and (there is None or int(there["port"]) > 65535):
        client = ": Ray Client, ray://, will not do" if given.startswith("ray://") else ""
        raise RequestError(f"{what} takes HOST:PORT of a cluster's head, or auto, got {clip(shown(given))!r}{client}")
    # Else workers are started by `uv run` in a copy of the working folder where this process is.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        connected = ray.get_runtime_context().gcs_address
        if given not in ("auto", _joined, connected):
            raise RequestError(f"this process belongs to the Ray cluster at {connected}, got {what} {given}")
        return
    try:
        if there is not None:  # else Ray looks for one
            socket.create_connection((there["host"].strip("[]"), int(there["port"])), timeout=5).close()
        _init(given)
        _joined = given
    except RuntimeError as error:
        raise EnvironmentFault(f"Ray at {what} {given}: {sentence(error)}; {AGREE}") from None
    except (OSError, ValueError) as error:
        raise EnvironmentFault(
            f"no Ray cluster at {what} {given} ({sentence(error)}): start one with `ray start --head`"
        ) from None
    if threading.current_thread() is threading.main_thread():
        # Python's own handler, which Ray has put one before that prints a stack.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


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


def sentence(error: BaseException) -> str:
    """The first of what Ray says, on one line: advice on its logs follows."""
    return " ".join(str(error).split()).partition(". ")[0].rstrip(".")
