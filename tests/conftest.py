"""Fixtures of all tests; no test sends telemetry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from search.data import Data

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Threads that spin while they wait make small products crawl wherever another process wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

pytest.register_assert_rewrite("support", "reference")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile kernels before the first test; the line that says so would stand in what some command prints."""
    from search.train.compiled import toolchain

    beside_others = hasattr(session.config, "workerinput")
    if not beside_others and toolchain.unavailable() is None and not toolchain.kernels_folder().exists():
        words = "from search.train.compiled import warm; warm.call_each_kernel()"
        subprocess.run([sys.executable, "-c", words], check=True)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty MLflow database, to be copied: creating one takes seconds of migrations."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an empty working folder, for commands that run in the test's process; restore the handler of SIGTERM."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_data() -> Callable[..., Data]:
    from support.data import random_data

    return random_data
