"""A real MLflow server for tests and pictures of its page."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 180.0
"""Seconds in which the server must answer: it imports for ten of them where nothing else runs."""


@contextlib.contextmanager
def serving(database: Path, port: int | None = None) -> Iterator[str]:
    """The address, on 127.0.0.1, of an MLflow server over a SQLite file; its log is `server.log` beside that.

    It is killed at the end, whatever it is doing. With a port of one's own another can take its place.
    """
    port = port or free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{database}"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--default-artifact-root", str(database.with_name("artifacts"))]
    log = database.with_name("server.log")
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=database.parent, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _until_it_answers(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it and its workers
        process.wait()


def free_port() -> int:
    """One that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        assert process.poll() is None, f"the server has ended: {log.read_text()}"
        assert time.monotonic() < end, f"the server does not answer: {log.read_text()}"
        time.sleep(0.2)
