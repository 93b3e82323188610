"""What a command sends to the nodes of a cluster: the data, and what must be the same on each of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import optuna
import torch
from torch import Tensor

from search.data import Data


def portable(data: Data) -> Data:
    """The data as they are sent: on the CPU, and no tensor a view of more than itself, which would go along whole."""

    def own(one: Tensor) -> Tensor:
        return one.cpu().clone()

    return replace(
        data, x_train=own(data.x_train), y_train=own(data.y_train), x_val=own(data.x_val), y_val=own(data.y_val),
        x_test=own(data.x_test), y_test=own(data.y_test),
    )  # fmt: skip


def versions() -> dict[str, str]:
    """What must be the same on every node for a study to be one; a trial's record says which build of torch it had."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for file in sorted(file for package in ("search", "objectives") for file in (root / package).rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    release = torch.__version__.partition("+")[0]  # the command's own machine may have a build without CUDA
    return {"torch": release, "optuna": optuna.__version__, "regsearch's source": digest.hexdigest()[:12]}
