"""Serve a registered model, as `mlflow models serve` does, and ask it for predictions over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.mlflow_server import PATIENCE, free_port
from support.waiting import until


@contextlib.contextmanager
def serving_model(model: str, tracking_uri: str, folder: Path) -> Iterator[str]:
    """Serve a model in the environment of this process, but without its path of modules; yield the server's address.

    Args:
        model: the URI of the model.
        tracking_uri: the tracking URI of MLflow.
        folder: where the server runs, and writes its log.
    """
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", model, "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = tracking_uri
    # The server starts `uvicorn` by its name.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    log = folder / "serve.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--env-manager", "local"],
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def answers() -> bool:
        assert process.poll() is None, f"the server has ended: {log.read_text()}"
        with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            return True
        return False

    try:
        until(answers, PATIENCE, state=log.read_text)
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it and its workers
        process.wait()


def ask(address: str, rows: list[dict[str, Any]]) -> tuple[int, Any]:
    """Return the status and the answer for rows, each a mapping of the user's columns."""
    request = urllib.request.Request(
        f"{address}/invocations",
        json.dumps({"dataframe_records": rows}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
