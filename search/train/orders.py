"""The order in which a pack sees its training rows."""

from __future__ import annotations

from torch import Tensor

from search.train import streams
from search.train.batches import Batches
from search.train.program import Program
from search.train.values import Moment


def orders(program: Program, batches: Batches, moment: Moment) -> list[Tensor]:
    """Return the order of the training rows in the present epoch for each replicate, ``(rows,)`` each.

    Techniques may choose some of the rows (`Technique.rows`).
    """
    seed, device, count = program.seed, batches.device, batches.train_rows
    found = []
    for replicate in moment.replicates:
        used = None
        for choose in (one.rows for one in program.techniques if one.rows is not None):
            if used is None:
                used = streams.permutation(streams.key(seed, replicate, "rows"), count, device)
            used = choose(used, program.structure)
        drawn = streams.permutation(
            streams.key(seed, replicate, "order", moment.epoch), count if used is None else len(used), device
        )
        found.append(drawn if used is None else used[drawn])
    return found
