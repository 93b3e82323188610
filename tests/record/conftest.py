"""One empty MLflow database for all tests: creating one takes seconds of migrations, copying it none."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_LOGGING_LEVEL"] = "CRITICAL"
optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "empty.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def bench(tmp_path: Path, empty_mlflow: Path):
    from record_studies import Bench

    return Bench(tmp_path, empty_mlflow)
