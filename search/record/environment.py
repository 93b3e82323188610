"""The environment that a trial was trained in: device, CPU, engine, precision, data and versions."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
import torch
from optuna.trial import FrozenTrial, TrialState

from search.record.curves import ENVIRONMENT
from search.train.engine import describe_engine
from search.train.precision import Precision

if TYPE_CHECKING:
    from search.record.observer import Asked, Trained

# On the CPU the bits of a result depend on these, besides recipe, hyperparameters, replicate and data.
_METRIC = "metric "  # followed by the name of a metric of the user's own
_DECISIVE = ("device", "cpu", "precision", "torch", "engine")


def describe(
    device: torch.device, precision: Precision, data: str, metrics: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of this process as it is recorded.

    Args:
        device: the device that trains.
        precision: the precision of products.
        data: the fingerprint of the data.
        metrics: for each metric of the user's own, the digest of its source.
    """
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} ({model})",
        "cpu": cpu(),
        "precision": precision,
        "data": data,
        "torch": str(torch.__version__),
        "engine": describe_engine(device, precision),
        "optuna": optuna.__version__,
        "python": platform.python_version(),
        **{f"{_METRIC}{name}": digest for name, digest in (metrics or {}).items()},
    }


@lru_cache(maxsize=1)
def cpu() -> str:
    """Return the type of the CPU: the instruction set that torch uses, and the model if the system names it."""
    return " ".join([torch.backends.cpu.get_cpu_capability(), _model()]).strip()


def _model() -> str:
    if platform.system() == "Darwin":
        with suppress(OSError, subprocess.SubprocessError):
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() == "model name":
                return " ".join(value.split())
    return platform.processor()


def recorded(study: optuna.Study, trial: FrozenTrial) -> dict[str, str]:
    """Return the environment that a trial was trained in: its own, else the study's; empty if none is recorded."""
    environment: Mapping[str, str] = trial.user_attrs.get(ENVIRONMENT) or study.user_attrs.get(ENVIRONMENT, {})
    return dict(environment)


def mismatches(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return the differences between a recorded environment and the present one, a line each."""
    names = [name for name in here if there.get(name) != here[name]]
    return [f"recorded on {name} {there.get(name, 'unknown')}, here {here[name]}" for name in names]


def same_bits(there: Mapping[str, str], here: Mapping[str, str]) -> bool:
    """Return whether training gives the same bits in both: on a CPU of one type, with one torch and one engine.

    The user's own metrics must be the same too.
    """
    names = [*_DECISIVE, *(name for name in here if name.startswith(_METRIC))]
    return here["device"].startswith("cpu") and all(there.get(name) == here[name] for name in names)


def changed_metrics(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for each metric of the user's own whose source is not that of the recorded environment."""
    return [
        f"the source of metric {name.removeprefix(_METRIC)} has changed since the study began (digest {there[name]}"
        f" there, {here[name]} here): values of old and new trials may not be comparable"
        for name in here
        if name.startswith(_METRIC) and there.get(name, here[name]) != here[name]
    ]


class EnvironmentRecorder:
    """Records the environment of the first run with the study, and a different one with the trial that it applies to.

    A trial has a different one if it was asked for, or adopted, on another machine or with other versions.

    Args:
        study: the Optuna study.
        here: the environment of this process.
    """

    def __init__(self, study: optuna.Study, here: Mapping[str, str]) -> None:
        self._here = dict(here)
        recorded = study.user_attrs.get(ENVIRONMENT)
        if recorded is None:
            study.set_user_attr(ENVIRONMENT, self._here)
        self._usual = recorded or self._here

    def asked(self, cohort: Sequence[Asked]) -> None:
        for trial in (asked.trial for asked in cohort):
            if trial.user_attrs.get(ENVIRONMENT, self._usual) != self._here:
                trial.set_user_attr(ENVIRONMENT, self._here)

    def epoch(self, members: Sequence[Trained]) -> None:
        """Do nothing."""

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        """Do nothing."""
