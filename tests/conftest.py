"""What the whole suite shares: no telemetry, and small data made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Threads that spin while they wait make small products crawl wherever another process wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from data_for_tests import random_data

from search.data import Data


@pytest.fixture
def make_data() -> Callable[..., Data]:
    return random_data
