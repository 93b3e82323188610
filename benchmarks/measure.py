"""Helpers of the benchmarks: the machine, the time of a command, and results as JSON.

A result is committed with all that is needed to judge it: the machine, the versions, the precision, every single run.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from search.train.machine import cpu

_PACKAGES = ("torch", "numpy", "optuna", "mlflow", "scikit-learn", "ray", "psycopg")


@dataclass(frozen=True)
class Timed:
    """The wall-clock seconds of a command, and what it has printed on stdout."""

    seconds: float
    stdout: str


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Timed:
    """Run a command in a folder and time it, start-up and exit included.

    Raises:
        RuntimeError: The exit status is not 0; the message ends with the end of stderr.
    """
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return Timed(seconds, done.stdout)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the minimum and the maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """Return how many times as long they took, turn by turn: the median, the minimum and the maximum."""
    return summary([other / own for other, own in zip(theirs, ours, strict=True)])


def machine() -> dict[str, Any]:
    """Return what matters to times: processor, cores, threads, system, GPU."""
    found = {
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
    }
    return found | ({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries; the commit tells that of regsearch."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def peak_flops(
    size: int | None = None, repeats: int = 10, device: torch.device | str = "cpu", *, bf16: bool = False
) -> float:
    """Return the device's peak rate of matrix products in FLOP/s: the fastest of `repeats` products.

    Args:
        size: the matrices are ``size x size``; 2048 by default, on a GPU 8192.
        repeats: the number of products.
        device: the device; a GPU multiplies float32 in the precision that torch is set to.
        bf16: whether the matrices are bfloat16, else float32.
    """
    device = torch.device(device)
    size = size or (2048 if device.type == "cpu" else 8192)
    a, b = torch.randn(2, size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    out = torch.empty_like(a)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        torch.mm(a, b, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def write(path: Path, name: str, result: Mapping[str, Any], precision: str = "fp32") -> None:
    """Write a result as JSON with date, machine, versions and precision; numbers have six digits."""
    circumstances = {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "precision": precision,
    }
    replace(path, circumstances | dict(result))


def replace(path: Path, result: Mapping[str, Any]) -> None:
    """Write a result as JSON, so that a process that is killed leaves the file as it was before, or as it is after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.part")
    beside.write_text(json.dumps(_rounded(result), indent=2) + "\n", encoding="utf-8")
    beside.replace(path)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value
