"""A study with known curves, and an MLflow to show it."""

from __future__ import annotations

import os
from pathlib import Path

import optuna
import pytest

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_LOGGING_LEVEL"] = "CRITICAL"
optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.fixture
def bench(tmp_path: Path, empty_mlflow: Path):
    from support.record_studies import Bench

    return Bench(tmp_path, empty_mlflow)
