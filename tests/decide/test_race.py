"""The race on planted tables: how it ends, who gets more replicates, and how often it is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution
from scipy import stats
from support.records import L2, entry, record

from search.decide.candidates import Candidates
from search.decide.evidence import Evidence
from search.decide.race import BUDGET, FIXED, KNOWN, MOST_REPLICATES, ROWS, TOLERATED, Finish, race
from search.statistics.crossed import Floats

RATE = FloatDistribution(0.0, 1.0)
BLOCKS = 40
EPOCHS = 10  # of each network


class Dealt:
    """What `race` asks of a `Gathering`, dealt from planted tables ``replicates x blocks``; NaN has diverged."""

    def __init__(self, planted: Mapping[int, Floats], *, overlap: float | None = None) -> None:
        self._planted, self._overlap = planted, overlap
        self._cells: dict[int, Floats] = {}
        self.epochs = 0

    @property
    def levels(self) -> dict[int, int]:
        return {trial: len(cells) for trial, cells in sorted(self._cells.items())}

    def evidence(self) -> Evidence:
        return Evidence(dict(self._cells), self._overlap)

    def cost(self, trials: Iterable[int], replicates: int) -> int:
        return sum(EPOCHS * max(0, replicates - len(self._cells.get(trial, ()))) for trial in trials)

    def add(self, trials: Sequence[int], replicates: int) -> None:
        self.epochs += self.cost(trials, replicates)
        for trial in trials:
            if np.isfinite(self._planted[trial][:replicates]).all():
                self._cells[trial] = self._planted[trial][:replicates]


def rates(count: int) -> Candidates:
    """Return trials with learning rates far from each other, number 0 the best in the search."""
    entries = [entry(number, [1 + number / 100], params={"lr": (number + 0.5) / count}) for number in range(count)]
    return Candidates.of(record(entries, {"lr": RATE}))


def raced(candidates: Candidates, dealt: Dealt, **options: Any) -> Finish:
    found = race(candidates, dealt, **{"replicates": None, "tolerance": 0.001, "budget": 10**6, **options})  # type: ignore[arg-type]
    assert found is not None
    return found


def planted(means: Sequence[Sequence[float]], rows: float = 0.0, seed: int = 0) -> dict[int, Floats]:
    """Return tables with the given mean of each replicate by trial, and rows that vary by `rows` between trials."""
    rng = np.random.default_rng(seed)
    by_row, noise = rng.normal(0, 1, (len(means), 1, BLOCKS)), rng.normal(0, 1e-4, (len(means), 5, BLOCKS))
    by_row -= by_row.mean(2, keepdims=True)
    noise -= noise.mean(2, keepdims=True)
    return dict(enumerate(np.array(means, dtype=float)[:, :, None] + rows * by_row + noise))


def flat(*means: float) -> list[list[float]]:
    return [[mean] * 5 for mean in means]


def test_a_winner_that_is_known_at_once_trains_no_more() -> None:
    dealt = Dealt(planted(flat(1.2, 1.0, 1.3), rows=0.1))
    finish = raced(rates(3), dealt)
    assert (finish.reason, finish.tied) == (KNOWN, [1])
    assert dealt.levels == {0: 2, 1: 2, 2: 2}
    assert dealt.epochs == 6 * EPOCHS


def test_differences_within_the_tolerance_end_it() -> None:
    tables = planted(flat(1.0, 1.0005, 1.3), rows=0.01)
    dealt = Dealt(tables)
    finish = raced(rates(3), dealt, tolerance=0.05)
    assert (finish.reason, finish.tied) == (TOLERATED, [0, 1])
    assert dealt.levels == {0: 2, 1: 2, 2: 2}
    assert raced(rates(3), Dealt(tables), tolerance=1e-4).reason != TOLERATED


def test_what_the_rows_hide_is_not_trained_for() -> None:
    dealt = Dealt(planted(flat(1.0, 1.01, 2.0), rows=0.1))
    finish = raced(rates(3), dealt)
    assert (finish.reason, finish.tied) == (ROWS, [0, 1])
    assert dealt.levels == {0: 2, 1: 2, 2: 2}


VARYING = [[1.0, 1.2, 1.1, 1.0, 1.2], [1.3, 1.05, 1.2, 1.1, 1.0], [1.9] * 5]
"""Two trials that change places from replicate to replicate, and a third that is never the best."""


def test_trials_that_replicates_could_tell_get_them_and_no_others() -> None:
    dealt = Dealt(planted(VARYING))
    finish = raced(rates(3), dealt)
    assert (finish.reason, finish.tied) == (MOST_REPLICATES, [0, 1])
    assert dealt.levels == {0: 5, 1: 5, 2: 2}
    assert {trial: finish.evidence.replicates(trial) for trial in finish.evidence.cells} == dealt.levels


def test_it_ends_as_soon_as_a_round_tells() -> None:
    """The difference of two replicates, 0.24, has the error 0.075: t = 3.2 of 6.3. Three have t = 5.5 of 2.9."""
    tables = planted([[1.0] * 5, [1.165, 1.315, 1.24, 1.24, 1.24]])
    assert raced(rates(2), Dealt(tables), replicates=2).tied == [0, 1]
    dealt = Dealt(tables)
    finish = raced(rates(2), dealt)
    assert (finish.reason, finish.tied) == (KNOWN, [0])
    assert dealt.levels == {0: 3, 1: 3}


@pytest.mark.parametrize(("networks", "level"), [(4, 2), (5, 2), (6, 3), (9, 3), (10, 5)])
def test_a_round_that_the_budget_does_not_allow_is_not_begun(networks: int, level: int) -> None:
    """Two trials have four networks at first; a third replicate of each makes six, and a fifth ten."""
    dealt = Dealt(planted(VARYING[:2]))
    finish = raced(rates(2), dealt, budget=networks * EPOCHS)
    assert dealt.levels == {0: level, 1: level}
    assert finish.reason == (MOST_REPLICATES if level == 5 else BUDGET)


def test_half_of_the_budget_says_how_many_trials_begin() -> None:
    dealt = Dealt(planted(flat(1.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7)))
    assert raced(rates(7), dealt, budget=12 * EPOCHS).evidence.cells.keys() == {0, 1, 2}
    dealt = Dealt(planted(flat(1.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7)))
    assert raced(rates(7), dealt, budget=1).evidence.cells.keys() == {0, 1}
    dealt = Dealt(planted(flat(1.0, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7)))
    assert raced(rates(7), dealt).evidence.cells.keys() == set(range(6))


@pytest.mark.parametrize(("replicates", "each"), [(1, 2), (3, 3)])
def test_a_recipe_that_gives_the_replicates_has_no_race(replicates: int, each: int) -> None:
    dealt = Dealt(planted(VARYING))
    finish = raced(rates(3), dealt, replicates=replicates)
    assert (finish.reason, finish.tied[0]) == (FIXED, 0)
    assert dealt.levels == {0: each, 1: each, 2: each}


def test_folds_are_not_raced() -> None:
    dealt = Dealt(planted(flat(1.0, 1.01, 1.02), rows=0.2), overlap=0.25)
    finish = raced(rates(3), dealt)
    assert (finish.reason, finish.tied) == (FIXED, [0, 1, 2])
    assert set(dealt.levels.values()) == {2}


def test_trials_that_diverge_are_left_out() -> None:
    tables = planted(flat(1.0, 1.2, 1.5))
    tables[0][1] = np.nan
    assert raced(rates(3), Dealt(tables)).tied == [1]
    nothing = dict.fromkeys(range(3), np.full((5, BLOCKS), np.nan))
    assert race(rates(3), Dealt(nothing), replicates=None, tolerance=0.01, budget=1000) is None  # type: ignore[arg-type]


def test_weaker_and_stronger_trials_are_compared_until_they_are_told() -> None:
    """The six best trials of the search lie in two bins of strengths, and trials of three other bins are as good.

    The bins have 5/8 of a decade. Trials 8, 10 and 11 are worse; 11 lies beyond 10, so it is not asked for.
    """
    strengths = [3e-4, 1e-4, 5e-4, 2e-4, 7e-4, 1.5e-4, 2e-3, 1e-2, 5e-2, 2e-5, 5e-6, 1.5e-6]
    entries = [entry(number, [1 + number / 10], params={"l2": one}) for number, one in enumerate(strengths)]
    bad = {8, 10, 11}
    tables = planted([[2.0 if number in bad else 1.0 + number * 1e-5] * 5 for number in range(12)], rows=0.05)
    candidates, dealt = Candidates.of(record(entries)), Dealt(tables)
    assert (L2.low, L2.high) == (1e-6, 1e-1)
    finish = raced(candidates, dealt)
    assert set(finish.tied) == {0, 1, 2, 3, 4, 5, 6, 7, 9}
    assert set(dealt.levels) == {*finish.tied, 8, 10}
    # Three trials begin with one on each side; then the budget is left for one more.
    few = Dealt(tables)
    raced(candidates, few, budget=12 * EPOCHS)
    assert (len(few.levels), few.epochs) == (6, 12 * EPOCHS)


def test_close_trials_are_hardly_ever_told_wrongly() -> None:
    """Four trials whose true means are close, with noise of rows, of replicates and of both."""
    rng = np.random.default_rng(5)
    means, studies = np.array([1.0, 1.1, 1.12, 1.12]), 40
    known, wrong = 0, 0
    for _ in range(studies):
        cells = (
            means[:, None, None]
            + rng.normal(0, 0.2, (1, 1, 80))
            + rng.normal(0, 0.03, (4, 5, 1))
            + rng.normal(0, 0.1, (4, 1, 80))
            + rng.normal(0, 0.1, (4, 5, 80))
        )
        order = rng.permutation(4)
        finish = raced(rates(4), Dealt({int(place): cells[trial] for trial, place in enumerate(order)}))
        known += finish.reason == KNOWN
        wrong += finish.reason == KNOWN and finish.tied != [order[0]]
    assert known > 10
    assert wrong <= stats.binom.ppf(0.999, studies, 0.05)
