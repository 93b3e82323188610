"""The state that all code of this process shares, which a hook must leave as it is."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

BY_VALUES = "use values.uniform or values.normal, which give a slot the same numbers in any pack"
BY_SEED = "use a generator with a seed of its own, such as torch.Generator().manual_seed(0)"


@dataclass(frozen=True)
class SharedState:
    """What the process shares at one moment.

    Attributes:
        of_torch, of_numpy, of_python: the states of the three global random generators.
        settings: settings of torch and others, by what errors call them.
    """

    of_torch: bytes
    of_numpy: tuple[Any, ...]
    of_python: tuple[Any, ...]
    settings: dict[str, object]

    @classmethod
    def now(cls, device: torch.device) -> SharedState:
        """Return the present state; of a GPU's generator too if the device is one."""
        drawn = torch.get_rng_state().numpy().tobytes()
        if device.type == "cuda":
            drawn += torch.cuda.get_rng_state(device).numpy().tobytes()
        numpys: tuple[Any, ...] = np.random.get_state(legacy=True)  # type: ignore[assignment]
        settings: dict[str, object] = {
            "torch's default type": torch.get_default_dtype(),
            "torch's default device": torch.get_default_device(),
            "whether torch records gradients": torch.is_grad_enabled(),
            "torch's number of threads": torch.get_num_threads(),
            "torch's precision of matrix products": torch.get_float32_matmul_precision(),
            "whether torch's algorithms are deterministic": torch.are_deterministic_algorithms_enabled(),
            "numpy's handling of floating-point errors": np.geterr(),
            "the working folder": os.getcwd(),
        }
        return cls(drawn, (numpys[1].tobytes(), *numpys[2:]), random.getstate(), settings)

    def change(self, later: SharedState, instead: str) -> str | None:
        """Return what has changed until a later moment and what would be right, or None if nothing has.

        Args:
            later: the state at the later moment.
            instead: what to do instead of drawing from a global generator.
        """
        if self.of_torch != later.of_torch:
            return f"draws from torch's global random generator: {instead}, instead of torch.rand and its kin"
        if self.of_numpy != later.of_numpy:
            return f"draws from numpy's global random generator: {instead}, instead of np.random"
        if self.of_python != later.of_python:
            return f"draws from Python's global random generator: {instead}, instead of random"
        for name, before in self.settings.items():
            if before != later.settings[name]:
                return f"changes {name} from {before} to {later.settings[name]} for all that follows: leave it as it is"
        return None


@contextmanager
def restored() -> Iterator[None]:
    """Put back the generators and the settings that hooks are most likely to change, once the block has ended."""
    drawn, numpys, pythons = torch.get_rng_state(), np.random.get_state(), random.getstate()
    dtype, threads, folder, errors = torch.get_default_dtype(), torch.get_num_threads(), os.getcwd(), np.geterr()
    with torch.enable_grad():
        try:
            yield
        finally:
            torch.set_rng_state(drawn)
            np.random.set_state(numpys)
            random.setstate(pythons)
            torch.set_default_dtype(dtype)
            torch.set_num_threads(threads)
            np.seterr(**errors)
            os.chdir(folder)
