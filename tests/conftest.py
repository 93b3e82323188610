"""What the whole suite shares: no telemetry, and small data made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# Threads that spin while they wait make small products crawl wherever another process wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from search.data import Data, Scaling


def random_data(rows: int, features: int, outputs: int, *, task: str = "classification", seed: int = 0) -> Data:
    """Random features with targets that depend on them; validation has 40 rows."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows + 60, features, generator=generator)
    truth = x @ torch.randn(features, outputs, generator=generator)
    y = truth.argmax(1) if task == "classification" else truth / truth.std(0)
    scaling = Scaling(torch.zeros(features), torch.ones(features))
    return Data(
        name="random",
        task="classification" if task == "classification" else "regression",
        x_train=x[:rows], y_train=y[:rows], x_val=x[rows : rows + 40], y_val=y[rows : rows + 40],
        x_test=x[rows + 40 :], y_test=y[rows + 40 :],
        outputs=outputs,
        inputs=scaling,
        targets=None if task == "classification" else Scaling(torch.zeros(outputs), torch.arange(1.0, outputs + 1)),
        image_shape=None,
        classes=tuple(map(str, range(outputs))) if task == "classification" else (),
    )  # fmt: skip


@pytest.fixture
def make_data() -> Callable[..., Data]:
    return random_data
