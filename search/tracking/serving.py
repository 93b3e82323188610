"""Serve a page on this machine by a program of this environment, until the block ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from search.cli import child
from search.errors import EnvironmentFault

HOST = "127.0.0.1"
_PATIENCE = 180.0  # seconds for the server to answer; MLflow's imports alone take ten


def free_port(wanted: int) -> int:
    """Return the wanted port, or another one if somebody listens there."""
    for port in (wanted, 0):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind((HOST, port))
            return int(found.getsockname()[1])
    raise EnvironmentFault(f"no port of {HOST} is free")


@contextlib.contextmanager
def serving(command: Sequence[str], health: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a server, wait until it answers, and end it and its children with the block.

    Args:
        command: the command of the server.
        health: an address that answers once the server does.

    Raises:
        EnvironmentFault: the server ends, or does not answer; the message has its last line.
    """
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=child.environment(),
                start_new_session=True,  # Ctrl-C reaches this process only, which ends the server
            )
        try:
            _wait(process, health, log)
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=1)


def _wait(process: subprocess.Popen[bytes], health: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(health, timeout=5).close()
            return
        time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise EnvironmentFault(f"the server has not started: {lines[-1] if lines else 'it does not answer'}")
