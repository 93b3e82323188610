"""The memory that a slot needs in training, from its program and from what its techniques do in one step."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from search.technique import Technique, Values
from search.technique.layout import padded
from search.train.batches import Batches
from search.train.evaluate import rows_at_once
from search.train.pack import Pack, Slot
from search.train.program import Program
from search.train.room import HOST

# Beside its state a slot has its gradient and one temporary of that size: a product, or a penalty's.
_COPIES = 2
# The last minibatch of an epoch may be small, so every technique takes a few rows.
_ROWS = 16
# What a slot takes is the difference between packs of so many slots.
_FEW, _MORE = 2, 4
# With more slots, a different moment of training may take the most; and an allocator rounds up.
_MARGIN = 1.1


def slot_bytes(program: Program, values: Mapping[str, float], batches: Batches) -> int:
    """Return the bytes of one slot in training, for which two slots train for one step on a few rows.

    These are its state with that of its techniques, gradient, and a temporary; the activations of every pass of a step
    and their gradients, with the copies that techniques change; and the inputs that are the slot's own. Techniques may
    make more temporaries than these, such as indices into pictures. A GPU counts its bytes, so there it is at least
    what `counted_slot_bytes` returns.

    Args:
        program: the program.
        values: the numeric hyperparameters in use.
        batches: the data on the device.

    Raises:
        torch.OutOfMemoryError: the device has no room for the two slots, or for four in `counted_slot_bytes`.
    """
    batches = program.encoded(batches)
    state, own_inputs = _seen(program, values, batches)
    worked_out = state + _working_bytes(program, batches, own_inputs)
    return worked_out if batches.device.type == HOST else max(worked_out, counted_slot_bytes(program, values, batches))


def counted_slot_bytes(program: Program, values: Mapping[str, float], batches: Batches) -> int:
    """Return the bytes of one slot as a GPU counts them while packs of two and of four slots train.

    They take two epochs of two steps, because a step begins while something of the one before is alive, with whole
    minibatches and all rows of evaluation. The arguments are those of `slot_bytes`.
    """
    batches = program.encoded(batches)
    rows = batches.head(min(2 * program.batch_size, batches.train_rows))
    for name in ("x_val", "y_val", "w_val", "x_test", "y_test", "w_test"):
        setattr(rows, name, getattr(batches, name))
    # A technique may not choose some of these rows.
    program = replace(program, techniques=tuple(replace(one, rows=None) for one in program.techniques))
    packs = (Pack(program, rows, [Slot(number, 0, values) for number in range(count)]) for count in (_FEW, _MORE))
    few, more = map(most_bytes, packs)
    return round(_MARGIN * (more - few) / (_MORE - _FEW))


def most_bytes(pack: Pack) -> int:
    """Train a pack for two epochs; return the bytes of a GPU that it takes at most."""
    device = pack.batches.device
    gc.collect()  # what is freed meanwhile would count against what the pack takes
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2):
        pack.run_epoch()
    most = torch.cuda.max_memory_allocated(device) - before
    pack.state = {}
    pack.rest(HOST)
    return most


def estimated_slot_bytes(program: Program, values: Mapping[str, float], batches: Batches) -> int:
    """Return an estimate of `slot_bytes` that trains nothing, for the CPU, which has room to spare.

    Each technique with an `input`, `loss` or `perturb_inputs` hook counts as one more pass, over inputs of the slot's
    own.
    """
    hooks = ((one.input, one.loss, one.perturb_inputs) for one in program.techniques)
    own = sum(any(hook is not None for hook in each) for each in hooks)
    pack = Pack(program, batches, [Slot(0, 0, values)])
    return _state_bytes(pack) + _working_bytes(program, batches, [False, *(True for _ in range(own))])


def _working_bytes(program: Program, batches: Batches, own_inputs: Sequence[bool]) -> int:
    """Return the bytes of a slot besides its state, for passes of which some have inputs of the slot's own."""
    item = batches.x_train.element_size()
    layout, widths = program.layout, [padded(width) for width in program.layout.widths]
    changes = sum(technique.layer is not None for technique in program.techniques)
    # Branches are kept each by itself and again one after the other, as they are mixed.
    branches = sum(2 * count * width for count, width in zip(layout.branches, widths[1:-1], strict=False) if count > 1)
    # Each value has a gradient of its size; so do the weights of networks that share those of the slot.
    of_row = 2 * layout.members * (sum(widths[1:]) + changes * sum(widths[1:-1]) + branches)
    if layout.waves:
        # The first layer's inputs with their gradient, and of each wave its feature, two sines and the cosine.
        of_row += 6 * widths[0]
    if layout.waves and layout.members > 1:
        # Those inputs and their gradient once more for each network.
        of_row += 2 * layout.members * widths[0]
    of_networks = 2 * layout.members * layout.size if layout.members > 1 else 0
    rows = min(program.batch_size, batches.train_rows)
    training = rows * (of_row * len(own_inputs) + 2 * padded(layout.features) * sum(own_inputs))
    evaluation = min(rows_at_once(layout), len(batches.x_val)) * of_row
    # Metrics take the predictions for all validation rows at once, in float64, collected and joined.
    scored = 2 * 8 * len(batches.x_val) * batches.outputs if program.metrics else 0
    return item * (_COPIES * layout.size + of_networks + max(training, evaluation)) + scored


def _seen(program: Program, values: Mapping[str, float], batches: Batches) -> tuple[int, list[bool]]:
    """Return the bytes of a slot's state and, for each pass of a step, whether each slot has inputs of its own."""
    own_inputs: list[bool] = []

    def layer(h: Tensor, number: int, now: Values) -> Tensor:
        if number == 0 and now.train:
            own_inputs.append(len(h) > 1)
        return h

    # A technique may not choose some of these few rows.
    techniques = [replace(one, rows=None) for one in program.techniques]
    # The memory is nearly that of torch, which has nothing to compile first.
    watched = replace(program, techniques=(*techniques, Technique(name="footprint", layer=layer)), engine="torch")
    pack = Pack(watched, batches.head(min(program.batch_size, _ROWS)), [Slot(trial, 0, values) for trial in range(2)])
    pack.run_epoch()
    return _state_bytes(pack), own_inputs


def _state_bytes(pack: Pack) -> int:
    return sum(one.numel() * one.element_size() // len(one) for one in pack.state.values())
