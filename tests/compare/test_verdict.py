"""What a comparison says of tables made by hand: where nothing varies, and where more replicates are in vain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from search.compare.pairs import Arm, Shared
from search.compare.scoring import Accuracy
from search.compare.verdict import Comparison
from search.statistics.crossed import crossed


def chosen(name: str, scores: np.ndarray[Any, np.dtype[np.float64]]) -> Arm:
    return Arm(name, 0, {}, name, 1, 0.1, scores + 0.5, scores, 1)


def test_no_error_is_no_certainty() -> None:
    """Where every prediction is right the interval is that of so many examples; nor is any accuracy beyond 100%."""
    right, nearly = np.ones((3, 36)), np.ones((3, 36))
    nearly[:, 0] = 0
    both = [chosen("right", right), chosen("nearly", nearly)]
    found = Comparison.of(Accuracy(), both, {("right", "nearly"): Shared([])}, [], same_loss=True)
    exact = binomtest(36, 36).proportion_ci(0.95, method="exact")
    assert found.score(both[0]).low == pytest.approx(100 * exact.low)
    assert found.score(both[0]).high == 100
    assert found.score(both[1]).high == 100
    assert "right makes no error on 36 test examples" in str(found)
    assert "nearly makes" not in str(found)
    wrong = chosen("wrong", 1 - right)
    assert found.score(wrong).high == pytest.approx(100 - 100 * exact.low)


def test_more_replicates_are_in_vain_where_examples_vary() -> None:
    """By the other's luck in examples, alike in all replicates; and the other way round, where nothing is said."""
    rng = np.random.default_rng(0)
    by_example, by_replicate = np.zeros((5, 200)), np.zeros((5, 200))
    by_example[:, rng.random(200) < 0.5] = 1
    by_replicate[:2] = 1
    said = []
    for scores in (by_example, by_replicate):
        arms = [chosen("one", np.zeros((5, 200))), chosen("other", scores)]
        found = Comparison.of(Accuracy(), arms, {("one", "other"): Shared([])}, [], same_loss=True)
        said.append((found.pairs[0].score.example_share, "more test rows would" in str(found)))
    assert said == [(1.0, True), (0.0, False)]
    # Half of either: B / n of A / R + B / n, here of the mean squares, as the docstring has it.
    table = rng.normal(size=(4, 50)) + rng.normal(size=50)
    rows, columns = table.mean(1), table.mean(0)
    rest = ((table - rows[:, None] - columns + table.mean()) ** 2).sum() / (3 * 49)
    squares = 50 * rows.var(ddof=1), 4 * columns.var(ddof=1)
    whole = max(sum(squares) - rest, *squares)
    assert crossed(table).example_share == pytest.approx((squares[1] - rest) / whole)


def test_pairs_that_share_the_same_are_named_together() -> None:
    arms = [chosen(name, np.eye(4)) for name in "abc"]
    shared = {
        ("a", "b"): Shared(["test examples", "batch order"]),
        ("a", "c"): Shared(["test examples"], "the noise of training, because the trials differ in hidden"),
        ("b", "c"): Shared(["test examples"], "the noise of training, because the trials differ in hidden"),
    }
    compared = Comparison.of(Accuracy(), arms, shared, [], same_loss=True)
    first, second, *_ = compared.remarks()
    assert first == "paired replicates of a and b share test examples and batch order"
    assert second == (
        "paired replicates of a and c, and of b and c, share test examples, but not the noise of training, because the "
        "trials differ in hidden"
    )
    assert compared.outcome()["pairs"][1]["not_shared"] == shared["a", "c"].unshared
