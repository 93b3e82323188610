"""A study of few validation rows says how uncertain they are, and names the folds."""

from __future__ import annotations

import re

import numpy as np
import pytest

from search import Study


def said(dataset: str, **data: object) -> list[str]:
    study = Study("baseline", dataset=dataset, tracking_uri=None, data=data)
    return [note for note in study.notes() if "--folds" in note]


def test_the_error_is_that_of_many_draws() -> None:
    rng = np.random.default_rng(0)
    (note,) = said("wine")
    points = float(re.findall(r"error of ([0-9.]+) points", note)[0])
    assert points == pytest.approx(100 * rng.binomial(36, 0.8, 20_000).std() / 36, rel=0.03)
    assert "all 142 rows outside the test split" in note
    (note,) = said("diabetes")
    percent = float(re.findall(r"error of about ([0-9]+)%", note)[0])
    assert percent == pytest.approx(100 * (rng.standard_normal((20_000, 88)) ** 2).mean(1).std(), abs=1)


def test_only_where_one_small_split_decides() -> None:
    assert said("wine", folds=3) == []
    assert said("line") == [], "a drawn task has as many rows as one asks for"
    assert said("digits", val=0.28) == []
    assert len(said("digits")) == 1
