"""Start an MLflow server, for tests and for pictures of its page."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.waiting import until

PATIENCE = 180.0
"""Seconds in which the server must answer; its imports alone take ten on an idle machine."""


@contextlib.contextmanager
def serving(database: Path, port: int | None = None) -> Iterator[str]:
    """Serve MLflow over a SQLite file, and yield the server's address on 127.0.0.1.

    The server writes `server.log` beside the file. It is killed when the context ends, whatever it is doing.

    Args:
        database: the SQLite file.
        port: the port, so that a later server can take this one's place; any free one by default.
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
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        assert process.poll() is None, f"the server has ended: {log.read_text()}"
        with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            urllib.request.urlopen(url, timeout=5).close()
            return True
        return False

    until(answers, PATIENCE, state=log.read_text)
