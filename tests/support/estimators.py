"""The arguments of a small search by an estimator, and data for it."""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_iris

SMALL: dict[str, Any] = {"trials": 2, "epochs": 10, "hidden": 16, "set": {"lr": 0.01, "batch_size": 32}}
SMALL |= {"random_state": 0, "device": "cpu"}
X, Y = load_iris(return_X_y=True, as_frame=True)
