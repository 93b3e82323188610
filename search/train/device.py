"""The device on which a study trains, and the number of slots that train there as one pack."""

from __future__ import annotations

import re

import torch

from search.errors import EnvironmentFault, unknown
from search.show.text import enumerated
from search.technique import Structural
from search.train.optimisers import Optimiser
from search.train.room import HOST, free_bytes

_DEVICES = ("auto", "cpu", "cuda")
_ONE_GPU = r"cuda:\d+"

# On the CPU slots train one after the other, so that a wide pack only saves calls from Python, about a tenth of the
# time of small networks. The bytes limit what the packs of all cores take together.
_CPU_BYTES = 256 * 2**20
_CPU_MOST = 64
# Only one pack of a cohort at a time trains on a GPU (`Cohort`). The other half is for the packs that wait, the
# temporaries of techniques, the libraries' own memory, and fragmentation.
_GPU_SHARE = 0.5
_GPU_MOST = 1024


def choose_device(name: str) -> torch.device:
    """Return the device with this name; "auto" is CUDA if torch sees a CUDA device, otherwise the CPU.

    "cuda" is the GPU that torch takes by default, and "cuda:1" the second one of those that it sees.

    Raises:
        RequestError: the name is unknown.
        EnvironmentFault: there is no CUDA device, or none of this number.
    """
    if name not in _DEVICES and not re.fullmatch(_ONE_GPU, name):
        raise unknown("device", name, _DEVICES)
    if name.startswith("cuda"):
        there = [f"cuda:{number}" for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
        if not there:
            raise EnvironmentFault(f"device {name} was asked for, but torch sees none here: use --device cpu or auto")
        if name != "cuda" and name not in there:
            raise EnvironmentFault(
                f"device {name} was asked for, but torch sees only {enumerated(there)} here: use {' or '.join(there)}"
            )
        return torch.device(name)
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu")


def moments(optimiser: type[Optimiser]) -> int:
    """Return how many tensors as large as the weights an optimiser keeps when all its hyperparameters are in use."""
    declared = optimiser.hyperparameters
    structure = {name: one.choices[-1] for name, one in declared.items() if isinstance(one, Structural)}
    theta = torch.zeros(1, 2)
    state = optimiser(structure).init(theta, {name: torch.ones(1) for name in declared if name not in structure})
    return sum(tensor.shape == theta.shape for tensor in state.values())


def auto_width(slot: int, device: torch.device) -> int:
    """Return the number of slots in a pack for `--slots auto`.

    One pack takes at most half of a GPU's free memory. A slot that needs more is trained alone.

    Args:
        slot: the bytes of the study's largest slot in training (`footprint.slot_bytes`).
        device: the device.
    """
    if device.type == HOST:
        return max(1, min(_CPU_MOST, _CPU_BYTES // slot))
    return max(1, min(_GPU_MOST, int(free_bytes(device) * _GPU_SHARE) // slot))
