"""Splits of rows that belong together: groups, which stay on one side, and times, which never flow back.

**Groups.** Groups are given to the parts one by one, in random order. A group goes to the part that leaves

    mean over classes of SD over parts of (rows of the class in the part) / (share of the part * rows of the class)

smallest, which is the rule of scikit-learn's `StratifiedGroupKFold`, here for parts of any shares. Of some random
orders the best is kept. (`StratifiedGroupKFold` sorts groups instead, so that another seed often gives the same folds.)

**Times.** Rows are sorted by time and cut. Rows of one time stay together, and if there are groups, so do all rows
between a group's first and last: such rows are a *block*. A cut moves to the nearest edge of a block.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.errors import RequestError, counted

Index = NDArray[np.int64]

_ORDERS, _MANY_GROUPS = 8, 1000


def assign(
    groups: Index,
    labels: Index | None,
    shares: Sequence[float],
    rng: np.random.Generator,
    *,
    first_teaches: bool = False,
) -> Index:
    """Return the part of each row, ``(rows,)``; all rows of a group are in one part, and no part is empty.

    Args:
        groups: the group of each row, ``(rows,)``, numbered from 0.
        labels: the class of each row, ``(rows,)``, numbered from 0; None for regression.
        shares: the positive shares of the parts.
        rng: the source of the random order.
        first_teaches: whether the first part gets the group of each class that is in one group only, if possible.

    Raises:
        RequestError: there are fewer groups than parts.
    """
    number = int(groups.max()) + 1
    if number < len(shares):
        raise RequestError(f"{counted(number, 'group')} cannot fill {len(shares)} parts without standing in two")
    classes = np.zeros_like(groups) if labels is None else labels
    counts = np.zeros((number, int(classes.max()) + 1))
    np.add.at(counts, (groups, classes), 1)
    counts = counts[:, counts.any(axis=0)]
    bound = np.zeros(number, np.bool_)
    if first_teaches:
        bound |= counts[:, np.count_nonzero(counts, axis=0) == 1].any(axis=1)
    best, least = np.zeros(number, np.int64), np.inf
    # Among many groups one random order is as even as the best of some.
    for _ in range(_ORDERS if number <= _MANY_GROUPS else 1):
        order = rng.permutation(number)
        order = np.concatenate([order[bound[order]], order[~bound[order]]])
        chosen, uneven = _fill(counts, np.asarray(shares), order, bound)
        if uneven < least:
            best, least = chosen, uneven
    return best[groups]


def _fill(
    counts: NDArray[np.float64], shares: NDArray[np.float64], order: Index, bound: NDArray[np.bool_]
) -> tuple[Index, float]:
    """Return the part of each group if they are given out in this order, and how uneven the parts are."""
    wanted = shares[:, None] * counts.sum(axis=0)
    filled = np.zeros_like(wanted)
    chosen = np.zeros(len(order), np.int64)
    for place, group in enumerate(order):
        empty = np.flatnonzero(filled.sum(axis=1) == 0)
        # When as many groups are left as parts are empty, each of these needs one.
        open_to = np.arange(len(shares))
        if len(order) - place <= len(empty):
            open_to = empty
        elif bound[group]:
            open_to = open_to[:1]
        ratios = filled / wanted
        after = np.repeat(ratios[None], len(open_to), axis=0)
        after[np.arange(len(open_to)), open_to] += counts[group] / wanted[open_to]
        part = int(open_to[after.std(axis=1).mean(axis=1).argmin()])
        chosen[group] = part
        filled[part] += counts[group]
    return chosen, float((filled / wanted).std(axis=0).mean())


def edges(times: NDArray[np.float64], groups: Index | None) -> Index:
    """Return where the sorted rows may be cut: the places between two blocks, each the number of rows before it.

    Args:
        times: the times of the rows, in ascending order.
        groups: the group of each of these rows, or None.
    """
    first = np.flatnonzero(np.diff(times) > 0) + 1
    if groups is None:
        return first
    # A place is inside a group if the group begins before it and ends after it.
    begins = np.full(int(groups.max()) + 1, len(groups))
    np.minimum.at(begins, groups, np.arange(len(groups)))
    ends = np.zeros_like(begins)
    np.maximum.at(ends, groups, np.arange(len(groups)))
    open_groups = np.zeros(len(groups) + 1, np.int64)
    np.add.at(open_groups, begins[begins <= ends] + 1, 1)
    np.add.at(open_groups, ends[begins <= ends] + 1, -1)
    chosen: Index = first[np.cumsum(open_groups)[first] == 0]
    return chosen


def cut(wanted: Sequence[int], allowed: Index) -> list[int]:
    """Return a different allowed place for each wanted one, in ascending order, each near to its own.

    Raises:
        RequestError: there are fewer allowed places than wanted ones.
    """
    if len(allowed) < len(wanted):
        raise RequestError(f"{counted(len(allowed) + 1, 'block')} for {len(wanted) + 1} parts")
    places: list[int] = []
    low = 0
    for number, place in enumerate(wanted):
        high = len(allowed) - (len(wanted) - number - 1)
        nearest = low + int(np.abs(allowed[low:high] - place).argmin())
        places.append(int(allowed[nearest]))
        low = nearest + 1
    return places
