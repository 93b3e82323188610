"""The folds of a cross-validation: pairs of training and validation rows among the rows outside the test part.

default        every row validates in one fold of a repeat; stratified by class (scikit-learn's `StratifiedKFold`,
               or `KFold` for a regression)
with groups    the same, and a group never has training and validation rows (`blocks.assign`)
with times     a fold trains on the rows before its validation rows (`TimeSeriesSplit`), so that time never flows back;
               the first fold is the latest, which trains on the most rows
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from search.data import blocks
from search.data.dataset import Data
from search.data.rules import Rules
from search.data.source import Source
from search.data.split import ordered, too_few_times, unlearnt
from search.errors import RequestError, clip, counted

Fold = tuple[Tensor, Tensor]


def divide(source: Source, pool: Tensor, rules: Rules) -> list[Fold]:
    """Return the training and validation rows of each fold; fold k of repeat r is at index r * folds + k.

    Args:
        source: the data set.
        pool: the row numbers outside the test part.
        rules: the rules of the split.

    Raises:
        RequestError: there are too few rows, rows of a class, groups or times for so many folds.
    """
    pool = pool.sort().values
    if source.times is not None:
        return [(pool[train], pool[val]) for train, val in _in_time(source, pool, rules)]
    folds: list[Fold] = []
    for seed in np.random.SeedSequence(rules.seed).generate_state(rules.repeats):
        way = _in_groups if source.groups is not None else _at_random
        for held in way(source, pool, rules, np.random.default_rng(seed)):
            rng = np.random.default_rng([int(seed), len(folds)])
            held = np.sort(held)
            rest = np.setdiff1d(np.arange(len(pool)), held)
            folds.append((pool[torch.from_numpy(rng.permutation(rest))], pool[torch.from_numpy(rng.permutation(held))]))
    return folds


def notes(source: Source, pairs: Sequence[Fold], rules: Rules) -> list[str]:
    """Return what a person should know about the folds, a line each."""
    rows = len(torch.cat(pairs[0]) if source.times is None else torch.cat(pairs[-1]))
    how = "within each class" if source.labels is not None else "at random"
    if source.times is not None:
        fewest, most = len(pairs[0][0]), len(pairs[-1][0])
        how = f"forward in time, with {fewest:,} to {most:,} training rows"
    elif source.groups is not None:
        how = "by whole groups"
    times = f", {rules.repeats} times" if rules.repeats > 1 else ""
    lines = [f"{source.place}: {rules.folds} folds of {counted(rows, 'row')}, split {how}{times}"]
    for number, (train, val) in enumerate(pairs):
        if missing := unlearnt(source, train, val):
            lines.append(
                f"{source.place}: fold {number % rules.folds + 1} trains without class {missing}, so its rows there"
                " cannot be predicted"
            )
    return list(dict.fromkeys(lines))


def _at_random(source: Source, pool: Tensor, rules: Rules, rng: np.random.Generator) -> Iterator[blocks.Index]:
    from sklearn.model_selection import KFold, StratifiedKFold

    state = int(rng.integers(2**31))
    if len(pool) < rules.folds:
        raise RequestError(
            f"{source.place}: {rules.folds} folds need as many rows outside the test part, which has {len(pool)}"
        )
    if source.labels is None:
        split = KFold(rules.folds, shuffle=True, random_state=state).split(pool)
    else:
        labels = source.labels[pool]
        counts = torch.bincount(labels, minlength=len(source.classes))
        counts[counts == 0] = len(pool)  # a class without rows here is in the test part only
        fewest = int(counts.argmin())
        if (most := int(counts[fewest])) < rules.folds:
            remedy = f"use at most {most} folds" if most > 1 else "give the class more rows, or leave it out"
            raise RequestError(
                f"{source.place}: class {clip(source.classes[fewest])!r} has {counted(most, 'row')} outside the test"
                f" part, too few for {rules.folds} folds: {remedy}"
            )
        split = StratifiedKFold(rules.folds, shuffle=True, random_state=state).split(pool, labels)
    yield from (held for _, held in split)


def _in_groups(source: Source, pool: Tensor, rules: Rules, rng: np.random.Generator) -> Iterator[blocks.Index]:
    assert source.groups is not None
    names, groups = np.unique(source.groups[pool].numpy(), return_inverse=True)
    if len(names) < rules.folds:
        remedy = f"use at most {len(names)} folds" if len(names) > 1 else "leave out group, or folds"
        raise RequestError(
            f"{source.place}: group {clip(str(rules.group))!r} has {counted(len(names), 'different value')} outside the"
            f" test part, too few for {rules.folds} folds: {remedy}"
        )
    labels = None if source.labels is None else source.labels[pool].numpy()
    part = blocks.assign(groups.astype(np.int64), labels, [1 / rules.folds] * rules.folds, rng)
    yield from (np.flatnonzero(part == number) for number in range(rules.folds))


def _in_time(source: Source, pool: Tensor, rules: Rules) -> Iterator[Fold]:
    from sklearn.model_selection import TimeSeriesSplit

    assert source.times is not None
    order, allowed = ordered(source.times[pool.numpy()], None if source.groups is None else source.groups[pool])
    if len(allowed) < rules.folds:
        words = too_few_times(rules, len(allowed) + 1, rules.folds + 1, f"pieces of {rules.folds} folds")
        raise RequestError(f"{source.place}: {words}")
    begins = [int(held[0]) for _, held in TimeSeriesSplit(rules.folds).split(order)]
    begins = blocks.cut(begins, allowed)
    for begin, end in reversed(list(zip(begins, [*begins[1:], len(order)], strict=True))):
        yield torch.from_numpy(order[:begin]), torch.from_numpy(order[begin:end])


def overlap(data: Data) -> float:
    """Return validation rows by training rows of a fold, on average; 0 for data without folds.

    Two folds share training rows, so the variance of a mean over K folds is about ``(1 / K + overlap) s^2``: Nadeau and
    Bengio, "Inference for the generalization error" (Machine Learning 52, 2003).
    """
    shares = [len(fold.x_val) / len(fold.x_train) for fold in data.folds]
    return sum(shares) / len(shares) if shares else 0.0
