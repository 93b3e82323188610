"""Where a study trains, and how many slots train there as one network."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from search.errors import EnvironmentFault, unknown
from search.technique import Structural
from search.technique.layout import Layout, padded
from search.train.batches import Batches
from search.train.evaluate import EVAL_ROWS
from search.train.optimisers import OPTIMISERS, Optimiser
from search.train.program import hidden_widths

# On the CPU a pack is as wide as fits the caches: measured on two cores at digits, the time per slot falls until
# about 32 slots and is flat after. Fewer where one slot's minibatch alone fills them.
_CPU_BYTES = 48 * 2**20
_CPU_MOST = 64
# Of a cohort's packs one at a time is on a GPU (`Cohort`). The other half is for what techniques compute on the side,
# the libraries' own room, and what their allocator cannot use.
_GPU_SHARE = 0.5
_GPU_MOST = 1024
# Weights, gradient, best copy, and one temporary of that size: a product, or in a penalty. Beside them stands what the
# optimiser keeps.
_COPIES = 4


def choose_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        RequestError: an unknown name.
        EnvironmentFault: CUDA was asked for and is not there.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise unknown("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFault("device cuda was asked for, but torch sees no CUDA device here")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def slot_bytes(layout: Layout, rows: int, moments: int, itemsize: int = 4) -> int:
    """Memory of one slot in training: its copies of the parameters, its activations and their gradients."""
    activations = 2 * rows * sum(padded(width) for width in layout.widths[1:])
    return itemsize * ((_COPIES + moments) * layout.size + activations)


def moments(optimiser: type[Optimiser]) -> int:
    """How many tensors as large as the weights an optimiser keeps, with all its hyperparameters in use."""
    declared = optimiser.hyperparameters
    structure = {name: one.choices[-1] for name, one in declared.items() if isinstance(one, Structural)}
    theta = torch.zeros(1, 2)
    state = optimiser(structure).init(theta, {name: torch.ones(1) for name in declared if name not in structure})
    return sum(tensor.shape == theta.shape for tensor in state.values())


def auto_width(hidden: Iterable[str], batch_sizes: Iterable[int], optimisers: Iterable[str], batches: Batches) -> int:
    """The slots of a pack for `--slots auto`: what the largest network and minibatch of a study leave room for.

    One pack takes at most half of a GPU's free memory; at least two slots, fewer than which is no pack.
    """
    kept = max(moments(OPTIMISERS[name]) for name in optimisers)
    # Evaluation takes more rows at a time than a minibatch may have.
    rows = max(min(max(batch_sizes), batches.train_rows), min(EVAL_ROWS, len(batches.x_val)))
    widths = [(batches.features, *hidden_widths(text), batches.outputs) for text in hidden]
    need = max(slot_bytes(Layout(each), rows, kept) for each in widths)
    if batches.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(batches.device)
        # What torch has taken and does not use, after an earlier run, is free too.
        free += torch.cuda.memory_reserved(batches.device) - torch.cuda.memory_allocated(batches.device)
        return max(2, min(_GPU_MOST, int(free * _GPU_SHARE) // need))
    return max(2, min(_CPU_MOST, _CPU_BYTES // need))
