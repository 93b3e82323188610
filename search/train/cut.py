"""The cut of slots into packs: which slots train together, so that no worker waits long for the last pack.

The cut affects the time that training takes and nothing else.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from search.train.batches import Batches
from search.train.program import Program

if TYPE_CHECKING:
    from search.train.pack import Slot

# What a pack costs besides its slots, in slots. It keeps packs together where splitting them would save little.
_PACK = 0.25
# Multiply-adds in the time of one parameter's update, which waits for memory.
_UPDATE = 30


def cut(
    slots: Sequence[tuple[Hashable, Slot]], width: int, workers: int = 1, work: Mapping[Any, float] | None = None
) -> list[list[int]]:
    """Return which slots train together: for each pack, indices into `slots`; the pack that takes longest comes first.

    Every slot is in exactly one pack, and the slots of a pack have one signature. The packs of a signature have nearly
    equal sizes. There are as few packs as the width allows, or more where that lets `workers` end earlier.

    Args:
        slots: pairs (signature, slot); the slots of a signature share program and data.
        width: the largest number of slots in a pack.
        workers: the number of packs that train side by side.
        work: the work of a slot by signature, in any unit; by default all slots are alike.
    """
    members: dict[Hashable, list[int]] = {}
    for i, (signature, _) in enumerate(slots):
        members.setdefault(signature, []).append(i)
    each = {signature: 1.0 if work is None else work[signature] for signature in members}
    counts = _counts({signature: len(own) for signature, own in members.items()}, width, workers, each)
    packs: list[tuple[float, list[int]]] = []
    for signature, own in members.items():
        own.sort(key=lambda i: slots[i][1].replicate)
        edges = [len(own) * at // counts[signature] for at in range(counts[signature] + 1)]
        packs += [((stop - start) * each[signature], own[start:stop]) for start, stop in pairwise(edges)]
    packs.sort(key=lambda pack: -pack[0])
    return [own for _, own in packs]


def slot_work(program: Program, batches: Batches) -> float:
    """Return about how much work a slot's epoch is, in multiply-adds, to compare programs with each other."""
    rows, layout = batches.train_rows, program.layout
    for technique in program.techniques:
        if technique.rows is not None:
            rows = len(technique.rows(torch.arange(rows), program.structure))
    steps = -(-rows // program.batch_size)
    # A term of the loss usually passes the minibatch through the network once more.
    passes = 1 + sum(technique.loss is not None for technique in program.techniques)
    # Each perturbation takes all of these once more.
    perturbing = [hook for one in program.techniques for hook in (one.perturb_inputs, one.perturb_weights)]
    passes <<= sum(hook is not None for hook in perturbing)
    # A pass forward, and one backward for the activations and one for the weights, of each network of the slot.
    return layout.size * (layout.members * (3 * passes * rows + len(batches.x_val)) + _UPDATE * steps)


def _counts(sizes: Mapping[Hashable, int], width: int, workers: int, work: Mapping[Any, float]) -> dict[Hashable, int]:
    """Return the number of packs of each signature: the fewest with which the workers end earliest.

    Args:
        sizes: the number of slots by signature.
        width, workers, work: as in `cut`.
    """
    counts = {signature: -(-size // width) for signature, size in sizes.items()}
    best, earliest = dict(counts), _end(sizes, counts, workers, work)
    share = sum(size * work[signature] for signature, size in sizes.items()) / workers

    def longest(signature: Hashable) -> float:
        return -(-sizes[signature] // counts[signature]) * work[signature]

    # Once every pack is a small part of a worker's share, smaller packs can't balance the workers any better.
    while workers > 1:
        signature = max((one for one in sizes if counts[one] < sizes[one]), key=longest, default=None)
        if signature is None or longest(signature) < share / 4:
            break
        counts[signature] += 1
        if (end := _end(sizes, counts, workers, work)) < earliest * (1 - 1e-9):
            best, earliest = dict(counts), end
    return best


def _end(
    sizes: Mapping[Hashable, int], counts: Mapping[Hashable, int], workers: int, work: Mapping[Any, float]
) -> float:
    """Return when the last worker ends, if each takes the longest pack that is left as soon as it is free."""
    packs = sorted(
        (
            (size * (at + 1) // counts[signature] - size * at // counts[signature] + _PACK) * work[signature]
            for signature, size in sizes.items()
            for at in range(counts[signature])
        ),
        reverse=True,
    )
    free = [0.0] * min(workers, len(packs))
    for pack in packs:
        heapq.heapreplace(free, free[0] + pack)
    return max(free, default=0.0)
