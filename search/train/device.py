"""The device on which a study trains, and the number of slots that train there as one pack."""

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

# On the CPU a pack is as wide as the caches allow. Measured on digits with two cores, the time per slot falls until
# about 32 slots and is constant from there on. A pack has fewer slots where the minibatch of one slot fills the caches.
_CPU_BYTES = 48 * 2**20
_CPU_MOST = 64
# Only one pack of a cohort at a time is on a GPU (`Cohort`). The other half is for the temporaries of techniques, the
# libraries' own memory, and fragmentation.
_GPU_SHARE = 0.5
_GPU_MOST = 1024
# Weights, gradient, and one temporary of that size: a product, or a penalty's. The optimiser's state comes on top.
_COPIES = 3


def choose_device(name: str) -> torch.device:
    """Return the device with this name; "auto" is CUDA if torch sees a CUDA device, otherwise the CPU.

    Raises:
        RequestError: the name is unknown.
        EnvironmentFault: "cuda" was asked for, but there is no CUDA device.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise unknown("device", name, ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise EnvironmentFault("device cuda was asked for, but torch sees none here: use --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def slot_bytes(layout: Layout, rows: int, moments: int, itemsize: int = 4) -> int:
    """Return the bytes of one slot in training: copies of its parameters, its activations and their gradients.

    Args:
        layout: the layout of its parameters.
        rows: the number of rows in a minibatch.
        moments: the number of tensors as large as the weights that the optimiser keeps.
        itemsize: the bytes of one number.
    """
    activations = 2 * rows * sum(padded(width) for width in layout.widths[1:])
    return itemsize * ((_COPIES + moments) * layout.size + activations)


def moments(optimiser: type[Optimiser]) -> int:
    """Return how many tensors as large as the weights an optimiser keeps when all its hyperparameters are in use."""
    declared = optimiser.hyperparameters
    structure = {name: one.choices[-1] for name, one in declared.items() if isinstance(one, Structural)}
    theta = torch.zeros(1, 2)
    state = optimiser(structure).init(theta, {name: torch.ones(1) for name in declared if name not in structure})
    return sum(tensor.shape == theta.shape for tensor in state.values())


def auto_width(hidden: Iterable[str], batch_sizes: Iterable[int], optimisers: Iterable[str], batches: Batches) -> int:
    """Return the number of slots in a pack for `--slots auto`, from a study's largest network and minibatch.

    One pack takes at most half of a GPU's free memory. It has at least two slots, the fewest a pack can have.
    """
    kept = max(moments(OPTIMISERS[name]) for name in optimisers)
    # Evaluation may take more rows at a time than a minibatch has.
    rows = max(min(max(batch_sizes), batches.train_rows), min(EVAL_ROWS, len(batches.x_val)))
    widths = [(batches.features, *hidden_widths(text), batches.outputs) for text in hidden]
    need = max(slot_bytes(Layout(each), rows, kept) for each in widths)
    if batches.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(batches.device)
        # Memory that torch reserved for an earlier run and does not use is free too.
        free += torch.cuda.memory_reserved(batches.device) - torch.cuda.memory_allocated(batches.device)
        return max(2, min(_GPU_MOST, int(free * _GPU_SHARE) // need))
    return max(2, min(_CPU_MOST, _CPU_BYTES // need))
