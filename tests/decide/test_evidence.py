"""What is known of trials: by hand, against scipy and plain loops, and in simulated studies."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from search.decide.evidence import Evidence
from search.statistics.crossed import Floats, crossed
from search.statistics.sampled import sampled
from search.statistics.skewed import skewed_interval


def tables(*shape: int, seed: int = 0) -> dict[int, Floats]:
    """Return random cells ``trials x replicates x blocks`` by trial; the trials of a replicate share some noise."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.5, shape[1:])
    return dict(enumerate(1 + noise + rng.normal(0, 0.5, shape)))


def test_with_one_replicate_a_difference_is_the_paired_t_test_over_rows() -> None:
    cells = tables(2, 1, 30)
    found = Evidence(cells).difference(0, 1)
    expected = stats.ttest_rel(cells[0][0], cells[1][0])
    interval = expected.confidence_interval(0.95)
    assert found.value == pytest.approx(cells[0].mean() - cells[1].mean())
    assert found.interval() == pytest.approx((interval.low, interval.high))
    assert found.p() == pytest.approx(expected.pvalue)


def test_all_trials_tell_how_differences_vary_over_replicates() -> None:
    """Means (1, 2), (2, 2) and (3, 5): the interaction has the squares 0, 1/2 and 1/2, so 2 x 1 / ((3 - 1) (2 - 1)).

    The differences of the pairs have the variances 1/2, 1/2 and 2, of which the mean is 1 as well.
    """
    noise = np.random.default_rng(1).normal(0, 0.1, (3, 2, 20))
    noise -= noise.mean(2, keepdims=True)
    means = np.array([[1.0, 2.0], [2.0, 2.0], [3.0, 5.0]])
    cells = dict(enumerate(means[:, :, None] + noise))
    for first, second in combinations(range(3), 2):
        found, expected = Evidence(cells).difference(first, second), crossed(cells[first] - cells[second], (1.0, 2))
        assert found.variance == pytest.approx(float(expected.variance))
        assert found.freedom == pytest.approx(float(expected.freedom))
    # The first two differ by -1 and 0, which alone is a variance of 1/2: all three tell that it is 1.
    assert Evidence(cells).difference(0, 1).spread == pytest.approx(1)


def test_it_is_the_mean_over_all_pairs() -> None:
    cells = tables(5, 4, 25, seed=2)
    means = np.array([cells[trial].mean(1) for trial in cells])
    known = float(np.mean([(means[one] - means[other]).var(ddof=1) for one, other in combinations(range(5), 2)]))
    found, expected = Evidence(cells).difference(1, 3), crossed(cells[1] - cells[3], (known, 12))
    assert found.variance == pytest.approx(float(expected.variance))
    assert found.freedom == pytest.approx(float(expected.freedom))


def test_trials_are_paired_by_the_replicates_that_both_have() -> None:
    """The third replicate is hard for every trial, and only trial 0 has it: its mean is higher, but it is the best."""
    rows = np.linspace(-0.1, 0.1, 20)
    cells = {0: np.array([[1.0], [1.2], [4.0]]) + rows, 1: np.array([[1.1], [1.3]]) + rows}
    evidence = Evidence(cells)
    assert evidence.mean(0) > evidence.mean(1)
    assert evidence.best() == evidence.choice() == 0
    assert evidence.difference(1, 0).value == pytest.approx(0.1)
    assert evidence.of_blocks(1, 0) == pytest.approx(np.full(20, 0.1))


PROFILES = {0: (0.2, 0.5), 1: (0.6, 0.5), 2: (0.9, 0.4), 3: (0.9, 0.9), 4: (0.7, 0.5)}


@pytest.mark.parametrize(
    ("losses", "chosen"),
    [
        ({0: 1.0, 1: 1.005}, 1),
        ({0: 1.0, 2: 1.005}, 0),  # stronger on the whole, but weaker in one hyperparameter
        ({0: 1.0, 3: 1.02}, 0),  # beyond the tolerance
        ({0: 1.0, 1: 1.001, 4: 1.009, 2: 1.001, 3: 1.02}, 4),
        ({0: -1.0, 1: -0.995}, 1),  # an objective that is maximised
        ({0: -1.0, 1: -0.98}, 0),
    ],
)
def test_the_most_regularised_trial_within_the_tolerance_is_chosen(losses: dict[int, float], chosen: int) -> None:
    cells = {trial: np.full((2, 20), loss) for trial, loss in losses.items()}
    profiles = {trial: PROFILES[trial] for trial in losses}
    evidence = Evidence(cells, profiles=profiles, tolerance=0.01)
    assert evidence.best() == 0
    assert evidence.choice() == chosen
    assert replace(evidence, tolerance=0.0).choice() == 0
    assert replace(evidence, profiles={}).choice() == 0


def test_of_a_trial_without_rivals_the_value_is_its_mean() -> None:
    cells = tables(1, 3, 40)
    found, expected = Evidence(cells).corrected(0), crossed(cells[0])
    assert found.value == pytest.approx(float(expected.value))
    assert found.variance == pytest.approx(float(expected.variance))
    assert found.freedom == pytest.approx(float(expected.freedom))


def test_the_value_is_that_of_choices_without_a_tenth_of_the_rows() -> None:
    """The same in plain loops: for each cut and each part, choose by the other blocks, and measure by the part."""
    trials, rows = 6, 27
    cells = tables(trials, 2, rows, seed=3)
    means = np.array([cells[trial].mean(0) for trial in range(trials)])
    best = int(means.mean(1).argmin())
    rng = np.random.default_rng(0)
    held: list[list[float]] = [[] for _ in range(rows)]
    choices = set()
    for _ in range(10):
        part = rng.permutation(rows) % 10
        for number in range(10):
            others = [row for row in range(rows) if part[row] != number]
            losses = [np.mean([means[trial, row] for row in others]) for trial in range(trials)]
            chosen = losses.index(min(losses))
            choices.add(chosen)
            for row in range(rows):
                if part[row] == number:
                    held[row].append(means[chosen, row])
    assert len(choices) > 1
    value = np.mean([np.mean(one) for one in held])
    found, own = Evidence(cells).corrected(best), crossed(cells[best])
    assert found.value == pytest.approx(value)
    assert found.value > own.value
    assert found.variance == pytest.approx(float(own.variance + (value - own.value) ** 2 / 2))


def test_each_fold_is_left_out_within_its_repeat() -> None:
    """Two repeats of four folds, whose blocks are numbers 0 to 3 and 4 to 7."""
    cells = tables(5, 2, 8, seed=5)
    means = np.array([cells[trial].mean(0) for trial in range(5)])
    held, choices = [], set()
    for fold in range(8):
        repeat = range(4) if fold < 4 else range(4, 8)
        losses = means[:, [one for one in repeat if one != fold]].mean(1)
        choices.add(int(losses.argmin()))
        held.append(means[losses.argmin(), fold])
    assert len(choices) > 1
    own = sampled(means[means.mean(1).argmin()], 1 / 3)
    folded = Evidence(cells, overlap=1 / 3, repeats=2)
    found = folded.corrected(folded.choice())
    assert found.value == pytest.approx(np.mean(held))
    assert found.variance == pytest.approx(float(own.variance + (np.mean(held) - own.value) ** 2 / 2))


def test_rows_may_lack_the_largest_losses() -> None:
    """The interval reaches further by what a row like the worst one adds to the mean; folds are means already."""
    cells = tables(1, 2, 40, seed=4)
    rows = cells[0].mean(0)
    evidence = Evidence(cells)
    found = evidence.corrected(0)
    low, high = evidence.interval(0, found)
    expected = skewed_interval(found, evidence.asymmetry(0))
    with_another = np.append(rows, rows.max())
    assert (low, high) == pytest.approx((expected[0], expected[1] + with_another.mean() - rows.mean()))
    assert high > expected[1]
    folded = Evidence(tables(1, 1, 5), overlap=0.25)
    own = folded.corrected(0)
    assert folded.interval(0, own) == skewed_interval(own, 0.0)


def test_too_few_rows_or_folds_have_no_value() -> None:
    with pytest.raises(ValueError, match="20 rows or more, got 19"):
        Evidence(tables(2, 2, 19)).corrected(0)
    Evidence(tables(2, 2, 20)).corrected(0)
    with pytest.raises(ValueError, match="three folds or more, got 2"):
        Evidence(tables(2, 1, 4), overlap=0.5, repeats=2).corrected(0)


def test_in_simulated_studies_the_luck_of_the_best_trial_is_taken_off() -> None:
    """Eight trials that are equally good: the best one's own mean is too low by the luck of its rows."""
    rng = np.random.default_rng(7)
    raw, corrected, covered = [], [], 0
    for _ in range(200):
        rows = rng.normal(0, 0.3, 40)
        cells = dict(enumerate(3 + rows + rng.normal(0, 1, (8, 1, 40))))
        evidence = Evidence(cells)
        found = evidence.corrected(evidence.choice())
        low, high = found.interval()
        raw.append(evidence.mean(evidence.choice()) - 3)
        corrected.append(float(found.value) - 3)
        covered += bool(low <= 3 <= high)
    assert np.mean(raw) < -0.2
    assert abs(np.mean(corrected)) < 0.15 * abs(np.mean(raw))
    assert 0.90 <= covered / 200 <= 0.99
