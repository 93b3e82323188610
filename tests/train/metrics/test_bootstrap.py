"""The bootstrap over replicates and rows: by hand, against plain resampling, and how often its intervals are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from search.train.metrics.bootstrap import Bootstrapped, Draws, bootstrap, draw
from search.train.metrics.built_in import METRICS
from search.train.metrics.metric import Metric


def test_a_case_by_hand() -> None:
    """Two replicates with two draws: the first draw has the first replicate twice, the second each once."""
    found = bootstrap(Draws(np.array([0.5, 0.7]), np.array([[0.4, 0.9], [0.5, 0.8]]), np.array([[2, 0], [1, 1]]), 11))
    assert found.ordered.tolist() == [0.4, 0.65]
    assert found.value == pytest.approx(0.6)
    assert found.spread == pytest.approx(0.2 / np.sqrt(2))
    # The draws have the variance 0.125^2; the mean of two replicates 0.02 / 2, which is 0.64 of it.
    assert found.share == pytest.approx(0.64)
    assert found.freedom == pytest.approx(1 / (0.64**2 / 1 + 0.36**2 / 10))
    # Two draws do not reach so far, so the interval is that of Student's t.
    half = stats.t(found.freedom).ppf(0.975) * 0.125 * np.sqrt(1 + 0.64 / 2)
    assert found.interval() == pytest.approx((0.6 - half, 0.6 + half))


def test_of_one_network_the_ends_are_percentiles_of_plain_resampling() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    p = rng.dirichlet(np.ones(3), size=(1, 60)) + 0.5 * np.eye(3)[y]
    found = bootstrap(draw(METRICS["val_f1"], torch.tensor(y), torch.tensor(p / 1.5), draws=199, seed=5))
    again = np.random.default_rng(5)
    again.multinomial(1, [1.0], 199)
    every = [np.repeat(np.arange(60), count) for count in again.multinomial(60, np.full(60, 1 / 60), 199)]
    scores = sorted(f1_score(y[rows], p[0, rows].argmax(1), average="macro") for rows in every)
    assert found.ordered == pytest.approx(scores)
    assert found.value == pytest.approx(f1_score(y, p[0].argmax(1), average="macro"))
    # With 59 degrees of freedom, t is 2.0010, beyond which a normal distribution has 2.27% on each side: 4.5 of 200.
    assert found.interval() == (found.ordered[3], found.ordered[-4])
    assert found.method == "bootstrap over test rows, 199 draws"


@pytest.mark.parametrize("name", ["val_roc_auc", "val_f1", "val_mcc", "val_r2"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_function_of_the_users_gets_the_rows_that_are_drawn(name: str, weighted: bool) -> None:
    """The same function, as a metric of the user's own, is given rows; built in, it is given counts."""
    rng = np.random.default_rng(1)
    built_in = METRICS[name]
    if built_in.task == "classification":
        y, p = torch.tensor(rng.integers(0, 3, 30)), torch.tensor(rng.dirichlet(np.ones(3), size=(4, 30)))
    else:
        y, p = torch.tensor(rng.normal(size=(30, 2))), torch.tensor(rng.normal(size=(4, 30, 2)))
    weights = torch.tensor(rng.uniform(0.5, 2, 30)) if weighted else None
    own = Metric("val_own", built_in.function, built_in.direction)
    ours, theirs = (draw(metric, y, p, weights, draws=50) for metric in (built_in, own))
    assert ours.drawn == pytest.approx(theirs.drawn, rel=1e-9)
    assert (ours.counts == theirs.counts).all()


def test_a_difference_is_taken_within_draws() -> None:
    rng = np.random.default_rng(2)
    y, p = torch.tensor(rng.integers(0, 2, 50)), torch.tensor(rng.dirichlet(np.ones(2), size=(3, 50)))
    found = draw(METRICS["val_roc_auc"], y, p, draws=100)
    nothing = bootstrap(Draws.combined((found, draw(METRICS["val_roc_auc"], y, p.clone(), draws=100)), (1, -1)))
    assert (nothing.value, *nothing.interval(), nothing.p()) == (0.0, 0.0, 0.0, 1.0)


def test_draws_of_one_class_have_no_area_and_are_left_out() -> None:
    y, p = torch.tensor([0, 0, 0, 1]), torch.tensor([[[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.65, 0.35]]]).double()
    found = bootstrap(draw(METRICS["val_roc_auc"], y, p, draws=400))
    assert 200 < len(found.ordered) < 360
    assert np.isfinite(found.interval()).all()


@given(
    st.integers(0, 10_000), st.sampled_from([0.0, 0.05, 0.2, 0.5]), st.integers(2, 12), st.sampled_from([1, 3, 10, 60])
)
def test_p_is_below_5_percent_exactly_where_the_interval_excludes_0(
    seed: int, shift: float, replicates: int, family: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = shift + 0.1 * rng.normal(size=(500, replicates)) + 0.1 * rng.normal(size=(500, 1))
    counts = rng.multinomial(replicates, np.full(replicates, 1 / replicates), 500)
    found = bootstrap(Draws(shift + 0.1 * rng.normal(size=replicates), drawn, counts, 80))
    low, high = found.interval(family)
    assert (low > 0 or high < 0) == (found.p(family) < 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("replicates", "of_replicates", "least"), [(10, 0.2, 0.92), (5, 1.5, 0.92), (2, 1.5, 0.88)])
def test_intervals_hold_the_truth_95_times_in_100(replicates: int, of_replicates: float, least: float) -> None:
    """Scores with effects of row, replicate and both; the truth is the mean area over many replicates and rows.

    In the second case replicates vary more than rows do; in the third there are as few as can be.
    """
    rng = np.random.default_rng(3)
    rows, trials = 150, 400

    def scores(networks: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, 2, count)
        skill = 1 + of_replicates * 0.4 * rng.normal(size=(networks, 1))
        shared, own = rng.normal(size=count), 0.7 * rng.normal(size=(networks, count))
        return y, skill * y + shared + own

    y, found = scores(400, 20_000)
    truth = np.mean([roc_auc_score(y, one) for one in found])
    held = 0
    for seed in range(trials):
        y, found = scores(replicates, rows)
        p = torch.tensor(np.stack([-found, found], -1)).softmax(-1)
        interval = bootstrap(draw(METRICS["val_roc_auc"], torch.tensor(y), p, draws=500, seed=seed)).interval()
        held += interval[0] <= truth <= interval[1]
    assert least <= held / trials <= 0.99


def test_it_is_told_how_an_interval_is_computed() -> None:
    found = Bootstrapped(0.5, np.zeros(2000), 0.1, 0.5, 9.0, 10)
    assert found.method == "bootstrap over test rows and replicates, 2,000 draws"
