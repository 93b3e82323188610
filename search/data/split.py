"""Which rows go where: a seeded split into parts that are disjoint and cover every row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data.dataset import Rows
from search.errors import RequestError, counted

VALIDATIONS = ("train", "half-of-test", "test")


def checked(split: Sequence[float]) -> tuple[float, float, float]:
    """The shares of training, validation and test rows.

    Raises:
        RequestError: not three positive numbers, or their sum is not 1 within 1e-6.
    """
    shares = tuple(split)
    numbers = all(isinstance(share, Real) and not isinstance(share, bool) for share in shares)
    if len(shares) != 3 or not numbers or not all(0 < share < math.inf for share in shares):
        raise RequestError(f"split must be three positive shares (train, validation, test), got {shares}")
    if abs(sum(shares) - 1) > 1e-6:
        raise RequestError(f"split must sum to 1 (train, validation, test), got {shares}, which sum to {sum(shares):g}")
    train, val, test = shares
    return float(train), float(val), float(test)


def partition(rows: int, shares: Sequence[float], seed: int, labels: Tensor | None = None) -> list[Tensor]:
    """Row numbers (int64) of each part, in random order.

    Every part but the first gets round(share * rows) rows, the first gets the rest. With `labels` (rows,) int64 this
    holds within each class, so that a part's class shares are the whole's to within one row per class; where a class
    has too few rows for that to give each part one, classes are ignored.

    Raises:
        RequestError: a part would be empty.
    """
    rng = np.random.default_rng(seed)
    if labels is not None:
        groups = [np.flatnonzero(labels.numpy() == label) for label in np.unique(labels.numpy())]
        if all(min(_sizes(len(group), shares)) > 0 for group in groups):
            cuts = [_cut(rng.permutation(group), shares) for group in groups]
            # Shuffled once more: joined class by class, the first rows of a part would all be of one class.
            return [torch.from_numpy(rng.permutation(np.concatenate(part))) for part in zip(*cuts, strict=True)]
    if min(_sizes(rows, shares)) < 1:
        raise RequestError(f"split {tuple(shares)} of {counted(rows, 'row')} leaves a part without rows")
    return [torch.from_numpy(part) for part in _cut(rng.permutation(rows), shares)]


def stratifies(labels: Tensor, shares: Sequence[float]) -> bool:
    """Whether every class has rows enough for `partition` to give each part its share of it."""
    counts = torch.unique(labels, return_counts=True)[1].tolist()
    return all(min(_sizes(count, shares)) > 0 for count in counts)


def with_official_test(
    whole: Rows, test: Rows, shares: Sequence[float], validation: str, seed: int, *, stratify: bool = True
) -> tuple[Rows, Rows, Rows]:
    """Training, validation and test rows where the data come with a test part of their own.

    Args:
        shares: the second is the share of validation rows in `whole`, where `validation` is "train".
        validation: "train" for rows of `whole`, by class if they are to be stratified; "half-of-test" for a random
            half of the test rows, the other half being the test part; "test" for all of them, twice.

    Raises:
        RequestError: a part would be empty.
    """
    if validation == "train":
        kept, held = partition(len(whole.y), (1 - shares[1], shares[1]), seed, whole.y if stratify else None)
        return whole.take(kept), whole.take(held), test
    if validation == "half-of-test":
        val, tested = (test.take(half) for half in partition(len(test.y), (0.5, 0.5), seed))
        return whole, val, tested
    return whole, test, test


def _sizes(rows: int, shares: Sequence[float]) -> list[int]:
    rest = [math.floor(share * rows + 0.5) for share in shares[1:]]
    return [rows - sum(rest), *rest]


def _cut(order: NDArray[np.int64], shares: Sequence[float]) -> list[NDArray[np.int64]]:
    return np.split(order, np.cumsum(_sizes(len(order), shares))[:-1])
