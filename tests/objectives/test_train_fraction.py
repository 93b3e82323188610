"""Parts of the training rows are nested, and the same for all trials of a replicate."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from support.data import random_data
from support.packs import adam, make_pack
from torch import Tensor

from search.errors import RequestError
from search.recipe.discovery import discover
from search.technique import Technique, Value, Values


def used(fraction: float, replicates: Sequence[int]) -> list[list[set[int]]]:
    """Return the rows that each group uses in two epochs on ten rows, whose first feature is the row's number."""
    data = random_data(10, 13, 3)
    data.x_train[:, 0] = torch.arange(10.0)
    seen: list[list[set[int]]] = []

    def watch(x: Tensor, values: Values) -> Tensor:
        assert values.train
        seen.append([set(map(int, group[:, 0].tolist())) for group in x])
        return x

    pack = make_pack(
        data,
        [adam(), adam()],
        techniques=[discover()["train_fraction"], Technique(name="watch", input=watch)],
        replicates=replicates,
        batch_size=10,
        train_fraction=fraction,
    )
    pack.run_epoch()
    pack.run_epoch()
    return seen


def test_parts_are_nested_and_differ_between_replicates() -> None:
    parts = {fraction: used(fraction, (0, 1)) for fraction in (0.2, 0.5, 0.81, 1.0)}
    for fraction, count in ((0.2, 2), (0.5, 5), (0.81, 9), (1.0, 10)):
        first, second = parts[fraction]
        assert first == second, "a part stays the same in every epoch"
        assert [len(rows) for rows in first] == [count, count]
    for smaller, larger in ((0.2, 0.5), (0.5, 0.81)):
        for replicate in (0, 1):
            assert parts[smaller][0][replicate] < parts[larger][0][replicate]
    assert parts[0.5][0][0] != parts[0.5][0][1]


@pytest.mark.parametrize("value", [0, 0.0, -0.5, 1.1, float("nan"), True, "half"])
def test_other_parts_are_refused(value: Value) -> None:
    with pytest.raises(RequestError, match=r"train_fraction: takes a number in \(0, 1\], got"):
        discover()["train_fraction"].hyperparameters["train_fraction"].validate("train_fraction", value)
