"""Where a study trains, and how many slots train there as one network."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from search.errors import EnvironmentFault, unknown
from search.train.batches import Batches
from search.train.evaluate import EVAL_ROWS
from search.train.layout import Layout, padded
from search.train.program import hidden_widths

# On the CPU a pack is as wide as fits the caches: measured on two cores at digits, the time per slot falls until
# about 32 slots and is flat after. Fewer where one slot's minibatch alone fills them.
_CPU_BYTES = 48 * 2**20
_CPU_MOST = 64
# Half of what is left stays free: while a pack is compacted its old and new state are there together.
_GPU_SHARE = 0.4
_GPU_MOST = 1024
# Weights, gradient, two moments, best copy, and one temporary of that size in a penalty.
_COPIES = 6


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


def slot_bytes(layout: Layout, rows: int, itemsize: int = 4) -> int:
    """Memory of one slot in training: its copies of the parameters, its activations and their gradients."""
    activations = 2 * rows * sum(padded(width) for width in layout.widths[1:])
    return itemsize * (_COPIES * layout.size + activations)


def auto_width(hidden: Iterable[str], batch_sizes: Iterable[int], batches: Batches) -> int:
    """The slots of a pack for `--slots auto`: what the largest network and minibatch of a study leave room for.

    One pack takes at most 0.4 of a GPU's free memory; at least two slots, fewer than which is no pack.
    """
    # Evaluation takes more rows at a time than a minibatch may have.
    rows = max(min(max(batch_sizes), batches.train_rows), min(EVAL_ROWS, len(batches.x_val)))
    widths = [(batches.features, *hidden_widths(text), batches.outputs) for text in hidden]
    need = max(slot_bytes(Layout(each), rows) for each in widths)
    if batches.device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(batches.device)
        return max(2, min(_GPU_MOST, int(free * _GPU_SHARE) // need))
    return max(2, min(_CPU_MOST, _CPU_BYTES // need))
