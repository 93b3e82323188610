"""The type of the CPU, and the cores that this process may use, as the operating system tells.

In a container a machine of 64 cores may give a process the time of two: its CPU quota. Then 64 threads would take turns
on two cores.

Sources: Linux, "Control Group v2" (``cpu.max``) and "CFS Bandwidth Control" (``cpu.cfs_quota_us``, control groups v1);
sched_setaffinity(2).
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath

import torch

MEMBERSHIP = Path("/proc/self/cgroup")
"""The file that names the control groups of this process."""
MOUNT = Path("/sys/fs/cgroup")
"""The folder under which control groups are mounted."""


def usable_cores(membership: Path = MEMBERSHIP, mount: Path = MOUNT) -> int:
    """Return the number of cores that this process may run on, or fewer if it may only use the time of fewer.

    A quota of 1.5 cores counts as two cores: on one, a third of the quota would be lost.
    """
    return max(1, min([_affinity(), *(math.ceil(quota) for quota in _quotas(membership, mount))]))


def _affinity() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        return os.process_cpu_count() or 1
    # macOS has no affinity.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(membership: Path, mount: Path) -> Iterator[float]:
    """Return the quota, in cores, of each control group that this process is in; those without a quota are left out."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for group in _groups(path, mount, mount / "unified"):
                yield from _quota(group / "cpu.max")
        elif "cpu" in controllers.split(","):
            for group in _groups(path, mount / "cpu", mount / controllers):
                yield from _quota(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us")


def _groups(path: str, *mounts: Path) -> Iterator[Path]:
    """Return the folders of a control group and its ancestors, whose quotas hold too, under each of the mounts.

    A container may see its own group as the mount itself, under a path that is not there. So not all of them exist.
    """
    inner = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in ("/", "..")))
    for mount in mounts:
        yield from (mount / group for group in (inner, *inner.parents))


def _quota(*files: Path) -> Iterator[float]:
    """Return the quota that files hold as microseconds of each period: none for ``max`` or -1, or without the files."""
    with suppress(OSError, ValueError, ZeroDivisionError):
        allowed, period = (int(word) for file in files for word in file.read_text().split())
        if allowed > 0:
            yield allowed / period


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
