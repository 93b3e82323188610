"""What a command sends to the nodes of a cluster: the data, and the versions that must be the same on all nodes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import optuna
import torch
from torch import Tensor

from search.data import Data
from search.storage import installed


def portable(data: Data) -> Data:
    """Return the data in the form to send: on the CPU, without views of larger tensors, which would be sent whole."""

    own: dict[str, Any] = {name: one.cpu().clone() for name, one in vars(data).items() if isinstance(one, Tensor)}
    return replace(data, **own, folds=tuple(map(portable, data.folds)))


def versions() -> dict[str, str]:
    """Return the versions that must agree on every node; each trial's record names its own build of torch."""
    digest = hashlib.sha256()
    root = installed.FOLDER
    for file in sorted(file for package in ("search", "objectives") for file in (root / package).rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    release = torch.__version__.partition("+")[0]  # the machine of the command may have a build without CUDA
    return {"torch": release, "optuna": optuna.__version__, "regsearch's source": digest.hexdigest()[:12]}
