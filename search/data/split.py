"""The seeded split of rows into disjoint parts that cover every row."""

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


def validate_shares(split: Sequence[float]) -> tuple[float, float, float]:
    """Return the shares of training, validation and test rows.

    Raises:
        RequestError: these are not three positive numbers, or their sum is not 1 within 1e-6.
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
    """Return the row numbers (int64) of each part, in random order.

    Each part but the first gets round(share * rows) rows, and the first gets the rest. With `labels` ``(rows,)`` int64
    this holds within each class, so that the class shares of a part differ from the whole's by less than one row per
    class. If some class has too few rows to give each part one, the classes are ignored.

    Raises:
        RequestError: a part would be empty.
    """
    rng = np.random.default_rng(seed)
    if labels is not None:
        groups = [np.flatnonzero(labels.numpy() == label) for label in np.unique(labels.numpy())]
        if all(min(_sizes(len(group), shares)) > 0 for group in groups):
            cuts = [_cut(rng.permutation(group), shares) for group in groups]
            # Without this shuffle the first rows of a part would all belong to one class.
            return [torch.from_numpy(rng.permutation(np.concatenate(part))) for part in zip(*cuts, strict=True)]
    if min(_sizes(rows, shares)) < 1:
        raise RequestError(f"split {tuple(shares)} of {counted(rows, 'row')} leaves a part without rows")
    return [torch.from_numpy(part) for part in _cut(rng.permutation(rows), shares)]


def stratifies(labels: Tensor, shares: Sequence[float]) -> bool:
    """Return whether every class has enough rows for `partition` to give each part its share."""
    counts = torch.unique(labels, return_counts=True)[1].tolist()
    return all(min(_sizes(count, shares)) > 0 for count in counts)


def with_official_test(
    whole: Rows, test: Rows, shares: Sequence[float], validation: str, seed: int, *, stratify: bool = True
) -> tuple[Rows, Rows, Rows]:
    """Return training, validation and test rows of data with an official test part.

    Args:
        whole: the official training rows.
        test: the official test rows.
        shares: the shares of the parts; the second is that of validation rows in `whole` if `validation` is "train".
        validation: the source of the validation rows. "train": rows of `whole`; "half-of-test": a random half of the
            test rows, and the other half is the test part; "test": all test rows, which are the test part too.
        seed: the seed of the split.
        stratify: whether rows of `whole` are split within each class.

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
