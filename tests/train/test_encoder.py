"""The inputs of a program are encoded by the training rows of each fold, and all folds have one network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from support.data import random_data
from support.packs import STRUCTURE, adam, make_pack
from torch import Tensor

from search.data import Data
from search.errors import RequestError
from search.recipe.discovery import discover
from search.technique import Structural, Technique
from search.train.batches import Batches
from search.train.pack import Pack, Slot
from search.train.program import Program

EMBEDDING = discover()["numeric_embedding"]


def folds() -> Data:
    """Two folds, of which the second has fewer different values of feature 0 in its training rows."""
    one, other = random_data(60, 3, 2, seed=1), random_data(60, 3, 2, seed=2)
    one.x_train[:, 0] = torch.arange(60.0) % 12
    other.x_train[:, 0] = torch.arange(60.0) % 4
    return replace(one, folds=(one, other))


def program(batches: Batches, **structure: Any) -> Program:
    values = {**STRUCTURE, "bins": 8, **structure}
    return Program.build(values, tuple(adam()), [EMBEDDING], batches, loss="cross_entropy", seed=0)


def test_each_fold_has_edges_of_its_own_rows_and_all_have_as_many() -> None:
    data = folds()
    batches = Batches(data)
    built = program(batches)
    quantiles = [
        [np.unique(np.quantile(one.double().numpy(), np.arange(9) / 8).astype(np.float32)) for one in fold.x_train.T]
        for fold in data.folds
    ]
    fewest = len(quantiles[1][0])
    assert fewest < len(quantiles[0][0]) == 9
    assert built.layout.widths[0] == fewest - 1 + 8 + 8
    for number, fold in enumerate(data.folds):
        own, of_data = built.own(batches, number), built.own(data, number)
        assert own.encoding is not None
        first, *others = own.encoding.edges.numpy()
        kept = first[:fewest]
        assert (np.diff(kept) > 0).all()
        assert {*kept} <= {*quantiles[number][0]}
        assert (kept[0], kept[-1]) == (quantiles[number][0][0], quantiles[number][0][-1])
        assert all((one == all_).all() for one, all_ in zip(others, quantiles[number][1:], strict=True))
        for part in ("x_train", "x_val", "x_test"):
            assert torch.equal(getattr(own, part)[:, : own.features], getattr(of_data, part))
        assert torch.equal(of_data.inputs.apply(fold.x_val), of_data.x_val)


def test_the_same_edges_are_encoded_once_for_all_programs() -> None:
    batches = Batches(random_data(60, 3, 2))
    one, other, third = program(batches), program(batches, hidden="7"), program(batches, bins=4)
    assert one.own(batches) is other.own(batches)
    assert one.own(batches) is one.own(one.own(batches))
    assert third.own(batches) is not one.own(batches)
    assert program(batches, bins=0).own(batches) is batches
    assert Pack(one, batches, [Slot(0, 0, adam())]).batches is one.own(batches)


def test_more_programs_of_encoded_data_leave_them_as_they_are() -> None:
    batches = Batches(random_data(60, 3, 2))
    own = program(batches).own(batches)
    again = program(own)
    assert again.encoder is None
    assert again.layout.widths[0] == own.features == 24


def in_halves(x: Tensor, _structure: Mapping[str, Any]) -> list[Tensor]:
    return [torch.stack([one.min(), one.median(), one.max()]) for one in x.T]


FAULTS: dict[str, tuple[Callable[..., Any], str]] = {
    "too few features": (
        lambda x, structure: in_halves(x, structure)[1:],
        "edges of 2 features, where those of each",
    ),
    "one tensor for all": (lambda x, _structure: x[:3].T, "edges of feature 1 that are not finite or do not increase"),
    "float64": (lambda x, structure: in_halves(x.double(), structure), r"\(3,\) torch.float64 for feature 0"),
    "numbers": (lambda x, _structure: [[0.0, 1.0]] * x.shape[1], "list for feature 0, where a float32 tensor"),
    "equal edges": (lambda x, _structure: [torch.zeros(3)] * x.shape[1], ".* do not increase: leave out equal ones"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_hook_returns_wrongly_is_said(fault: str) -> None:
    hook, says = FAULTS[fault]
    technique = Technique(name="mine", hyperparameters={"mine": Structural(default=True, neutral=False)}, edges=hook)
    with pytest.raises(RequestError, match=f"technique 'mine': hook 'edges' returns {says}"):
        make_pack(random_data(60, 3, 2), [adam()], techniques=[technique])
