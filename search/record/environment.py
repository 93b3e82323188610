"""Where a trial was trained: device, CPU, precision, data and versions, noted with the study or with the trial."""

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

if TYPE_CHECKING:
    from search.record.observer import Asked, Trained

# What the bits of a result follow from on the CPU, besides recipe, hyperparameters, replicate and data.
_DECISIVE = ("device", "cpu", "precision", "torch")


def describe(device: torch.device, precision: str, data: str) -> dict[str, str]:
    """This process's environment, as it is recorded; `data` is the fingerprint of what is trained on."""
    shown = torch.cuda.get_device_name() if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} ({shown})",
        "cpu": cpu(),
        "precision": precision,
        "data": data,
        "torch": str(torch.__version__),
        "optuna": optuna.__version__,
        "python": platform.python_version(),
    }


@lru_cache(maxsize=1)
def cpu() -> str:
    """The CPU's type: the instructions that torch uses, and the model where the platform tells it."""
    return " ".join([torch.backends.cpu.get_cpu_capability(), _model()]).strip()


def _model() -> str:
    if platform.system() == "Darwin":
        with suppress(OSError, subprocess.SubprocessError):
            asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip().lower() == "model name":
                return " ".join(value.split())
    return platform.processor()


def recorded(study: optuna.Study, trial: FrozenTrial) -> dict[str, str]:
    """Where a trial of a study was trained, as far as that is recorded: its own environment, else the study's."""
    found: Mapping[str, str] = trial.user_attrs.get(ENVIRONMENT) or study.user_attrs.get(ENVIRONMENT, {})
    return dict(found)


def mismatches(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """What differs between a recorded environment and the present one, a line each."""
    names = [name for name in here if there.get(name) != here[name]]
    return [f"recorded on {name} {there.get(name, 'unknown')}, here {here[name]}" for name in names]


def same_bits(there: Mapping[str, str], here: Mapping[str, str]) -> bool:
    """Whether training comes to the same bits in both: the CPU, of the same type, with the same torch."""
    return here["device"].startswith("cpu") and all(there.get(name) == here[name] for name in _DECISIVE)


class Noting:
    """The observer that records where trials are trained: the first run's environment is the study's.

    A trial carries its own where it differs: one that was asked, or taken up again, on another machine or version.
    """

    def __init__(self, study: optuna.Study, here: Mapping[str, str]) -> None:
        self._here = dict(here)
        noted = study.user_attrs.get(ENVIRONMENT)
        if noted is None:
            study.set_user_attr(ENVIRONMENT, self._here)
        self._usual = noted or self._here

    def asked(self, cohort: Sequence[Asked]) -> None:
        for one in cohort:
            if one.trial.user_attrs.get(ENVIRONMENT, self._usual) != self._here:
                one.trial.set_user_attr(ENVIRONMENT, self._here)

    def epoch(self, members: Sequence[Trained]) -> None:
        """Nothing to note."""

    def told(self, number: int, state: TrialState, value: float | None) -> None:
        """Nothing to note."""
