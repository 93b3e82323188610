"""The README's commands and its Python run as they are written, one after another, in an empty folder."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from support.documents import ROOT, blocks, commands

README = [*blocks(ROOT / "README.md")]
COMMANDS = [line for block in README if block.language == "sh" for line in commands(block)]
# Installing is what has been done here already; the environment is that of the tests.
INSTALL, RUN = "pip install -q uv && ", "uv run "

pytestmark = pytest.mark.slow


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}


def as_run_here(line: str) -> str:
    line = line.removeprefix(INSTALL)
    assert line.startswith(RUN), line
    return line.removeprefix(RUN)


def run(line: str, folder: Path) -> str:
    """Run a command of the README in a folder, and return what it prints."""
    done = subprocess.run(
        as_run_here(line), shell=True, cwd=folder, env=environment(), capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def serving(line: str, folder: Path) -> Iterator[str]:
    """Run a command of the README that serves MLflow's page; the address is free, the rest as written."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        ["bash", "-c", f"exec {as_run_here(line)}"],
        cwd=folder,
        env=environment() | {"MLFLOW_PORT": str(port)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def answer(url: str) -> requests.Response:
    """What a server answers, as soon as it does."""
    end = time.monotonic() + 300
    while True:
        try:
            return requests.get(url, timeout=10)
        except requests.ConnectionError:
            assert time.monotonic() < end, f"no answer from {url}"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which the README's first command has been run, and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    assert COMMANDS[0].startswith(INSTALL)
    return folder, run(COMMANDS[0], folder)


def test_the_two_first_commands_search_and_show(searched: tuple[Path, str]) -> None:
    folder, printed = searched
    assert "the best of 64 trials" in printed
    assert (folder / "optuna.db").exists()
    assert COMMANDS[1] == "uv run mlflow ui"
    assert as_run_here(COMMANDS[1]) in printed, "the search says how to look at its curves"
    with serving(COMMANDS[1], folder) as address:
        named = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=regsearch"
        assert answer(named).json()["experiment"]["name"] == "regsearch"


def test_the_other_commands_give_the_answer_that_is_printed(searched: tuple[Path, str]) -> None:
    folder, _ = searched
    told = " ".join(" ".join(run(line, folder) for line in COMMANDS[2:]).split())
    (claimed,) = (block for block in README if block.language == "text")
    # On another type of CPU the numbers may be others.
    number = r"-?\d+(\.\d+)?(e-?\d+)?"
    sentence = re.sub(number, "#", " ".join(claimed.text.split()))
    assert sentence in re.sub(number, "#", told)


def test_the_python_runs(searched: tuple[Path, str]) -> None:
    folder, _ = searched
    (block,) = (block for block in README if block.language == "python")
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=folder, env=environment(), capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "model.safetensors").exists()
    assert (folder / "report-l2-digits" / "report.html").exists()
