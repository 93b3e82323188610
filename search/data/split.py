"""The seeded split of rows into training, validation and test rows, which are disjoint and cover every row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data import blocks
from search.data.rules import Rules
from search.data.source import Source
from search.errors import RequestError, clip, counted, listed


@dataclass(frozen=True, eq=False)
class Parts:
    """The row numbers (int64) of each part, and what a person should know about them, a line each."""

    train: Tensor
    val: Tensor
    test: Tensor
    notes: tuple[str, ...] = ()

    @property
    def pool(self) -> Tensor:
        """The training and validation rows, from which folds are made."""
        return torch.cat([self.train, self.val])


def divide(source: Source, rules: Rules) -> Parts:
    """Split a data set by the rules.

    Raises:
        RequestError: a part would be empty, or no split keeps the rules.
    """
    official_test = source.test if not rules.without_test else torch.zeros(0, dtype=torch.int64)
    if rules.validation == "test":
        assert official_test is not None
        return Parts(source.own, official_test, official_test)
    if rules.validation == "half-of-test":
        assert official_test is not None
        val, test = partition(len(official_test), (0.5, 0.5), rules.seed)
        return Parts(source.own, official_test[val], official_test[test])
    _, val_share, test_share = rules.shares
    if source.val is not None:
        val_share = 0.0
    if source.test is not None:
        test_share = 0.0
    shares = (1 - val_share - test_share, val_share, test_share)
    try:
        (train, val, test), notes = _divide_own(source, rules, shares)
    except RequestError as error:
        raise RequestError(f"{source.place}: {error}") from None
    parts = Parts(
        train,
        val if source.val is None else source.val,
        test if official_test is None else official_test,
        tuple(notes),
    )
    _validate_files(source, rules, parts)
    said = list(parts.notes)
    if missing := unlearnt(source, parts.train, torch.cat([parts.val, parts.test])):
        said.append(f"{source.place}: no training row has class {missing}, so its other rows cannot be predicted")
    return replace(parts, notes=tuple(said))


def unlearnt(source: Source, train: Tensor, others: Tensor) -> str:
    """Return the names of the classes that other rows have and no training row has; "" if there are none."""
    if source.labels is None:
        return ""
    classes = np.setdiff1d(source.labels[others].numpy(), source.labels[train].numpy())
    return listed([source.classes[number] for number in classes])


def _divide_own(source: Source, rules: Rules, shares: Sequence[float]) -> tuple[list[Tensor], list[str]]:
    """Split the rows that are in no part of their own yet. `own` begins at row 0, so that its numbers are rows."""
    if shares[0] == 1 and source.official:
        return [source.own, *torch.zeros(2, 0, dtype=torch.int64)], []  # nothing to choose: the rows keep their order
    rows, labels = len(source.own), source.labels
    groups = None if source.groups is None else source.groups[:rows]
    if source.times is not None:
        return in_time(source.times[:rows], groups, shares, rules), []
    if groups is not None:
        return _in_groups(groups, labels, shares, rules), []
    labels = None if labels is None else labels[:rows]
    parts = partition(rows, shares, rules.seed, labels)
    if labels is None or source.official or stratifies(labels, shares):
        return parts, []
    counts = torch.bincount(labels, minlength=len(source.classes))
    fewest = int(counts.argmin())
    return parts, [
        f"{source.place}: class {clip(source.classes[fewest])!r} has {counted(int(counts[fewest]), 'row')}, too few for"
        " a share of each part: rows are split without regard to class"
    ]


def in_time(times: NDArray[np.float64], groups: Tensor | None, shares: Sequence[float], rules: Rules) -> list[Tensor]:
    """Return the row numbers of each part in the order of time: all times of a part are before those of the next.

    Raises:
        RequestError: there are too few times, or groups whose times do not overlap, for a part each.
    """
    order, allowed = ordered(times, groups)
    sizes = _sizes(len(times), shares)
    wanted = [share > 0 for share in shares]
    places = np.cumsum([size for size, kept in zip(sizes, wanted, strict=True) if kept])[:-1]
    if len(allowed) < len(places):
        raise RequestError(too_few_times(rules, len(allowed) + 1, len(places) + 1, "parts"))
    pieces = iter(np.split(order, blocks.cut(places.tolist(), allowed)))
    empty = np.zeros(0, np.int64)
    return [torch.from_numpy(next(pieces) if kept else empty) for kept in wanted]


def ordered(times: NDArray[np.float64], groups: Tensor | None) -> tuple[blocks.Index, blocks.Index]:
    """Return the rows in the order of time, and where this order may be cut."""
    order = np.argsort(times, kind="stable")
    return order, blocks.edges(times[order], None if groups is None else groups.numpy()[order])


def too_few_times(rules: Rules, found: int, needed: int, what: str) -> str:
    """Return the words for data whose rows cannot be cut by time into so many parts."""
    if rules.group is None:
        return f"time {clip(str(rules.time))!r} has {counted(found, 'different value')}, too few for {needed} {what}"
    return (
        f"the groups of {clip(rules.group)!r} overlap in time {clip(str(rules.time))!r}: they leave"
        f" {counted(found, 'piece')} that can be split, too few for {needed} {what}; leave out group or time"
    )


def _in_groups(groups: Tensor, labels: Tensor | None, shares: Sequence[float], rules: Rules) -> list[Tensor]:
    kept = [number for number, share in enumerate(shares) if share > 0]
    rng = np.random.default_rng(rules.seed)
    names, compact = np.unique(groups.numpy(), return_inverse=True)
    if len(names) < len(kept):
        raise RequestError(
            f"group {clip(str(rules.group))!r} has {counted(len(names), 'different value')}, too few for {len(kept)}"
            " parts: a group stands in one part only"
        )
    part = blocks.assign(
        compact.astype(np.int64),
        None if labels is None else labels[: len(groups)].numpy(),
        [shares[number] for number in kept],
        rng,
        first_teaches=True,
    )
    held = {number: rng.permutation(np.flatnonzero(part == place)) for place, number in enumerate(kept)}
    return [torch.from_numpy(held.get(number, np.zeros(0, np.int64))) for number in range(len(shares))]


def partition(rows: int, shares: Sequence[float], seed: int, labels: Tensor | None = None) -> list[Tensor]:
    """Return the row numbers (int64) of each part, in random order.

    Each part but the first gets round(share * rows) rows, and the first gets the rest. With `labels` ``(rows,)`` int64
    this holds within each class, so that the class shares of a part differ from the whole's by less than one row per
    class. If some class has too few rows to give each part one, the classes are ignored. A part whose share is 0 is
    empty.

    Raises:
        RequestError: a part with a share would be empty.
    """
    rng = np.random.default_rng(seed)
    if labels is not None:
        groups = [np.flatnonzero(labels.numpy() == label) for label in np.unique(labels.numpy())]
        if all(_fills(len(group), shares) for group in groups):
            cuts = [_cut(rng.permutation(group), shares) for group in groups]
            # Without this shuffle the first rows of a part would all belong to one class.
            return [torch.from_numpy(rng.permutation(np.concatenate(part))) for part in zip(*cuts, strict=True)]
    if not _fills(rows, shares):
        raise RequestError(f"split {tuple(shares)} of {counted(rows, 'row')} leaves a part without rows")
    return [torch.from_numpy(part) for part in _cut(rng.permutation(rows), shares)]


def stratifies(labels: Tensor, shares: Sequence[float]) -> bool:
    """Return whether every class has enough rows for `partition` to give each part its share."""
    return all(_fills(count, shares) for count in torch.unique(labels, return_counts=True)[1].tolist())


def _validate_files(source: Source, rules: Rules, parts: Parts) -> None:
    """Refuse a part from a file of its own that stands on the wrong side of a group or a time."""
    named = [("training", parts.train), ("validation", parts.val), ("test", parts.test)]
    for number, (later, rows) in enumerate(named):
        for earlier, before in named[:number]:
            if not len(rows) or not len(before):
                continue
            if source.groups is not None:
                both = np.intersect1d(source.groups[before].numpy(), source.groups[rows].numpy())
                if len(both):
                    name = source.group_names[int(both[0])]
                    raise RequestError(
                        f"{source.place}: group {clip(name)!r} of {clip(str(rules.group))!r} has {earlier} and {later}"
                        " rows: leave it out of one of them"
                    )
            if source.times is not None and source.times[rows].min() <= source.times[before].max():
                first = int(rows[int(source.times[rows].argmin())])
                raise RequestError(
                    f"{source.place}: {later} rows must be later than all {earlier} rows in time"
                    f" {clip(str(rules.time))!r}, but the one in {source.where(first)} is not"
                )


def _fills(rows: int, shares: Sequence[float]) -> bool:
    return all(size > 0 or (share == 0 and size == 0) for size, share in zip(_sizes(rows, shares), shares, strict=True))


def _sizes(rows: int, shares: Sequence[float]) -> list[int]:
    rest = [math.floor(share * rows + 0.5) for share in shares[1:]]
    return [rows - sum(rest), *rest]


def _cut(order: NDArray[np.int64], shares: Sequence[float]) -> list[NDArray[np.int64]]:
    return np.split(order, np.cumsum(_sizes(len(order), shares))[:-1])
