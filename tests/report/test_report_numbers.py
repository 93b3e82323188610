"""What a report computes, against cases computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from support.records import L2, entry, record

from search.recipe.distributions import position
from search.report import statistics
from search.report.networks import HeldOut
from search.report.record import Entry, Record
from search.report.statements import summarise, too_few
from search.report.strength import by_strength, profile, weakest


def said(of: Record, held_out: HeldOut | None = None) -> dict[str, str]:
    return {one.about: one.text for one in summarise(of, held_out)}


@pytest.mark.parametrize(
    ("x", "y", "rho"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        # d = (0, -1, 1, 0): 1 - 6 * 2 / (4 * 15)
        ([1, 2, 3, 4], [1, 3, 2, 4], 0.8),
        # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: the covariance of ranks is 4.5, the sums of squares 4.5 and 5.
        ([1, 2, 2, 3], [1, 2, 3, 4], 4.5 / math.sqrt(4.5 * 5)),
        ([1, 2], [1, 2], None),
        ([1, 1, 1], [1, 2, 3], None),
    ],
)
def test_spearman(x: list[float], y: list[float], rho: float | None) -> None:
    assert statistics.spearman(x, y) == (None if rho is None else pytest.approx(rho))


def test_correlation_of_a_rung_is_over_those_that_finished() -> None:
    entries = [
        entry(0, [0.1], reported={2: 0.5, 3: 0.3}),
        entry(1, [0.2], reported={2: 0.7, 3: 0.4}),
        entry(2, [0.3], reported={2: 0.6, 3: 0.5}),
        entry(3, [0.4], reported={2: 0.8, 3: math.nan}),
        entry(4, [0.9], state="pruned", epochs=2, reported={2: 0.1}),
    ]
    assert statistics.correlations(record(entries)) == [
        statistics.Correlation(2, 4, pytest.approx(0.8)),
        statistics.Correlation(3, 3, pytest.approx(1.0)),
    ]


def test_share_saved() -> None:
    """Of 5 x 4 epochs two trials pruned at 1 and 2 save 5; what diverged or stopped early is no saving of pruning."""
    entries = [
        entry(0, [0.1]),
        entry(1, [0.2], state="pruned", epochs=1),
        entry(2, [0.2], state="pruned", epochs=2),
        entry(3, [math.nan], state="pruned", epochs=1, diverged_at=1),
        entry(4, [0.1], epochs=3),
        entry(5, [0.1], state="running", epochs=1),
    ]
    found = statistics.saved(record(entries))
    assert found == statistics.Saved(planned=20, by_pruning=5, otherwise=4)
    assert found.share == 0.25
    assert said(record(entries))["pruning"] == "Pruning saved 25% of the 20 planned epochs."


@pytest.mark.parametrize(("exponent", "end"), [(-5.74, None), (-5.76, "lower"), (-1.26, None), (-1.24, "upper")])
def test_edges(exponent: float, end: str | None) -> None:
    """The range is five decades, so that its edges are a quarter of a decade wide: to 10^-5.75 and from 10^-1.25."""
    beyond = [entry(at, [0.2], params={"l2": l2}) for at, l2 in enumerate((1e-3, 1e-6, 1e-1), 1)]
    entries = [entry(0, [0.1], params={"l2": 10**exponent}), *beyond]
    assert [one.end for one in statistics.edges(record(entries))] == ([] if end is None else [end])
    warned = said(record(entries)).get("edge of l2")
    if end is None:
        assert warned is None
        return
    assert warned is not None
    further = "1" if end == "upper" else "1e-07"
    assert warned.endswith(f"a better one may lie beyond. Search further, to {further}, with --extend.")
    space = "--space l2=1e-06:1:log" if end == "upper" else "--space l2=1e-07:0.1:log"
    kept = said(record(entries, fixed_ends=[("l2", end)]))["edge of l2"]
    assert kept.endswith(f"Search further, as with {space}.")


def test_trials_that_were_pruned_or_never_finite_bracket_the_best() -> None:
    at = 10**-1.4
    few = [entry(0, [0.1], params={"l2": at}), entry(1, [0.2], params={"l2": 1e-3})]
    assert [one.end for one in statistics.edges(record(few))] == ["upper"]
    for losses in ([0.3], [math.nan]):
        there = entry(2, losses, state="pruned", params={"l2": 0.09})
        assert statistics.edges(record([*few, there])) == []


def test_an_edge_that_is_a_limit_is_not_to_be_searched_beyond() -> None:
    searched = {"dropout": FloatDistribution(0.0, 0.8)}
    of = record([entry(0, [0.1], params={"dropout": 0.01}), entry(1, [0.2], params={"dropout": 0.5})], searched)
    assert "or does nothing" in said(of)["edge of dropout"]
    upper = record([entry(0, [0.1], params={"dropout": 0.79}), entry(1, [0.2], params={"dropout": 0.5})], searched)
    # Half a range further would be 1.2, which no dropout can be.
    assert said(upper)["edge of dropout"].endswith("Search further, to 0.9, with --extend.")


def test_choices_have_no_edges() -> None:
    searched = {"l2": CategoricalDistribution((0.0, 1e-3))}
    entries = [entry(0, [0.1], params={"l2": 0.0}), entry(1, [0.2], params={"l2": 1e-3})]
    assert statistics.edges(record(entries, searched)) == []


def replicated(*trials: tuple[float, list[float]], **more: Any) -> Record:
    entries = [entry(number, losses, params={"l2": l2}) for number, (l2, losses) in enumerate(trials)]
    return record(entries, replicates=len(trials[0][1]), **more)


BEST = (1e-3, [0.10, 0.20, 0.30])


def test_one_standard_error() -> None:
    """Differences 0.01, 0.02, 0.06: mean 0.03, SD sqrt(0.0007), SE 0.0153; 0.00, 0.01, 0.03: mean 0.0133, SE 0.0088;
    0.03, 0.00, -0.01: mean 0.0067, SE 0.0120, which is within one."""
    far, near, within = [0.11, 0.22, 0.36], [0.10, 0.21, 0.33], [0.13, 0.20, 0.29]
    found = statistics.one_standard_error(replicated(BEST, (1e-1, far), (1e-2, within), (5e-2, near), (1e-5, within)))
    assert found is not None
    assert found.chosen.number == 2
    assert found.difference == pytest.approx(0.02 / 3, abs=1e-6)
    assert found.error == pytest.approx(
        math.sqrt(((0.07 / 3) ** 2 + (0.02 / 3) ** 2 + (0.05 / 3) ** 2) / 2 / 3), abs=1e-6
    )


def test_the_one_standard_error_choice_goes_in_the_declared_direction() -> None:
    """A smaller max-norm is the stronger one."""
    searched = {"max_norm": FloatDistribution(0.3, 4.0, log=True)}
    trials = [(1.0, BEST[1]), (0.5, [0.13, 0.20, 0.29]), (2.0, [0.13, 0.20, 0.29])]
    entries = [entry(number, losses, params={"max_norm": at}) for number, (at, losses) in enumerate(trials)]
    found = statistics.one_standard_error(record(entries, searched, replicates=3))
    assert found is not None
    assert found.chosen.params == {"max_norm": 0.5}


def test_no_standard_error_is_invented() -> None:
    pair = replicated((1e-3, [0.1, 0.2]), (1e-2, [0.1, 0.21]))
    assert statistics.one_standard_error(pair) is None
    assert said(pair)["one standard error"] == (
        "The one-standard-error rule needs at least 3 replicates, and the study has 2. With --training, the report "
        "trains 2 of the best trials on 5 more replicates."
    )
    undirected = [entry(0, [0.1] * 3, params={"lr": 1e-3}), entry(1, [0.2] * 3, params={"lr": 1e-2})]
    of = record(undirected, {"lr": FloatDistribution(1e-4, 1e-1, log=True)}, replicates=3)
    assert "does not apply" in said(of)["one standard error"]
    assert (
        "the one-standard-error rule chooses trial 0 itself"
        in said(replicated(BEST, (1e-2, [1, 2, 3])))["one standard error"]
    )


def test_one_standard_error_over_replicates_that_were_added() -> None:
    """On the search's one replicate trial 0 is the best, over all six trial 1. Trial 2 differs from that by 0.04, -0.01
    and four times 0: mean 0.005, SD sqrt(0.00155 / 5), SE sqrt(0.00031 / 6) = 0.00719. Trial 3 is far."""
    trials = [(1e-4, [0.10]), (1e-3, [0.11]), (1e-2, [0.15]), (1e-1, [0.16])]
    added = {0: np.full(5, 0.3), 1: np.full(5, 0.2), 2: np.array([0.19, 0.2, 0.2, 0.2, 0.2]), 3: np.full(5, 0.25)}
    of = replicated(*trials, added=added)
    found = statistics.one_standard_error(of)
    assert found is not None
    assert (found.best.number, found.chosen.number, found.replicates) == (1, 2, 6)
    assert found.difference == pytest.approx(0.005)
    assert found.error == pytest.approx(math.sqrt(0.00031 / 6))
    text = said(of)["one standard error"]
    assert "1 replicate, too few for a standard error, so its 4 best trials were trained on 5 more replicates." in text
    assert "Over all 6 replicates, trial 1 (l2 = 0.001) has the lowest mean loss, not trial 0." in text
    assert "Trial 2 (l2 = 0.01) is the most strongly regularised trial within one standard error" in text
    assert "of this paired difference over 6 replicates is 0.00719." in text
    assert of.best.number == 0


def test_a_trial_that_diverges_on_an_added_replicate_is_not_chosen() -> None:
    added = {0: np.full(5, 0.2), 1: np.array([0.2, 0.2, np.inf, 0.2, 0.2])}
    found = statistics.one_standard_error(replicated((1e-4, [0.2]), (1e-3, [0.1]), added=added))
    assert found is not None
    assert found.best is found.chosen
    assert found.chosen.number == 0


def test_the_ten_best_are_considered_where_replicates_are_added() -> None:
    trials = [(1e-4, [0.1 + at / 100]) for at in range(12)]
    of = replicated(*trials, added={at: np.full(5, 0.1) for at in range(9)})
    assert [one.number for one in statistics.lacking(of)] == [9]
    assert statistics.one_standard_error(of) is None
    assert said(of)["one standard error"].endswith("the report trains one of the best trials on 5 more replicates.")
    enough = replicated(*[(1e-4, [0.1, 0.2, 0.3])] * 12)
    assert statistics.lacking(enough) == []
    assert len(statistics.considered(enough)) == 12


def test_the_gap_between_validation_and_test() -> None:
    of = record([entry(0, [0.1, 0.3]), entry(1, [0.4, 0.4])], replicates=2)
    found = HeldOut(np.array([0.3, 0.5]), np.array([0.4, 0.44]), np.zeros(3), np.zeros(3), readings=2)
    text = said(of, found)["validation and test"]
    assert "an accuracy of 0.42 (SD 0.028 over 2 replicates) on the test split and of 0.5 on the validation" in text
    assert "a difference of -0.08. Its test loss is 0.4 and its validation loss 0.2, a difference of +0.2." in text
    assert text.endswith("The test split has been read 2 times.")


def test_divergence_is_told() -> None:
    entries = [entry(0, [0.1]), entry(1, [0.2], diverged_at=3), entry(2, [math.nan], state="pruned", diverged_at=1)]
    assert said(record(entries))["divergence"] == (
        "1 of 3 trials never had a finite loss. 1 complete trial diverged later and kept its best value."
    )
    assert "divergence" not in said(record(entries[:1] * 2))


@pytest.mark.parametrize(("count", "told"), [(0, "has 0 complete trials"), (1, "has 1 complete trial,")])
def test_too_few(count: int, told: str) -> None:
    assert told in too_few(record([entry(number, [0.1]) for number in range(count)])).text


def test_positions() -> None:
    assert position(L2, 1e-6) == 0
    assert position(L2, 10**-3.5) == pytest.approx(0.5)
    assert position(IntDistribution(2, 6), 3) == 0.25
    assert position(IntDistribution(2, 2), 2) is None
    assert position(CategoricalDistribution((0.5, 0.0, 0.1)), 0.1) == 0.5
    assert position(CategoricalDistribution(("relu", "tanh")), "relu") is None
    assert position(CategoricalDistribution((False, True)), True) is None


def test_strengths_of_listed_settings() -> None:
    """Without a bound (infinite) max-norm is weakest; a setting that lacks a hyperparameter has none of it."""
    inf = float("inf")
    searched = {"l2": CategoricalDistribution((0.0, 1e-3)), "max_norm": CategoricalDistribution((inf, 2.0))}
    plain, penalty, bound, both = (
        entry(0, [0.3], params={"l2": 0.0, "max_norm": inf}),
        entry(1, [0.2], params={"l2": 1e-3, "max_norm": inf}),
        entry(2, [0.4], params={"max_norm": 2.0}),
        entry(3, [0.5], params={"l2": 1e-3, "max_norm": 2.0}),
    )
    of = record([plain, penalty, bound, both], searched)
    assert profile(of, bound.params) == {"l2": 0.0, "max_norm": 1.0}
    assert by_strength(of, of.entries) == [plain, penalty, bound, both]
    assert weakest(of) is plain


def test_the_weakest_is_another_than_the_best_where_one_is_as_weak() -> None:
    entries: list[Entry] = [entry(number, [0.1 + number], params={"l2": 1e-5}) for number in range(3)]
    assert weakest(record(entries)).number == 2
