"""What the whole suite shares: no telemetry, and small data made on the spot."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Threads that spin while they wait make small products crawl wherever another process wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from support.data import random_data

from search.data import Data


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One empty MLflow database for all tests: creating one takes seconds of migrations, copying it none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For commands in the test's own process: their folder; their handler of SIGTERM does not outlive the test."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def make_data() -> Callable[..., Data]:
    return random_data
