"""The first draws of TPE by the ranks of earlier trials."""

from __future__ import annotations

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from support.earlier_studies import LOG

from search.choose import samplers
from search.choose.prior import validate_earlier
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space

BEST = 1e-3
TRIALS = [
    {"rank": rank / 24, "params": {"l2": l2}}
    for rank, l2 in enumerate(
        sorted((10 ** (-6 + 5 * at / 23) for at in range(24)), key=lambda l2: abs(math.log(l2 / BEST)))
    )
]
"""Twenty-four values of l2, evenly spaced in the logarithm; the nearer to the best one, the better."""


def recipe_of(earlier: list[dict[str, Any]], **fields: Any) -> Recipe:
    studies = [{"study": f"study-{number}", "trials": trials} for number, trials in enumerate(earlier)]
    fields = {"name": "x", "techniques": ["l2"], "space": {"l2": LOG}, "earlier": studies} | fields
    return Recipe.parse(fields, "x")


def drawn(recipe: Recipe, tickets: range, finished: int = 0, running: int = 0) -> list[dict[str, Any]]:
    """Return what is drawn for each ticket, each time beside the same trials."""
    space = Space.resolve(recipe, select(recipe.techniques, ()))
    study = optuna.create_study()
    for number in range(finished):
        study.add_trial(
            create_trial(value=float(number), params={"l2": 1e-5 * (number + 1)}, distributions=dict(space.searched))
        )
    for number in range(running):
        study.enqueue_trial({"l2": 1e-4 * (number + 1)})
        space.suggest(study.ask())
    found = []
    for ticket in tickets:
        study.sampler = samplers.build(recipe, ticket, space)
        trial = study.ask()
        space.suggest(trial)
        found.append(trial.params)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return found


def distances(draws: list[dict[str, Any]]) -> list[float]:
    return [abs(math.log(one["l2"] / BEST)) for one in draws]


def test_the_first_draws_lie_near_the_earlier_best_and_every_fourth_is_random() -> None:
    plain, begun = (drawn(recipe_of(earlier), range(48)) for earlier in ([], [TRIALS]))
    by_prior = [one for ticket, one in enumerate(begun) if ticket % 4 != 3]
    # Uniform draws of log l2 in (log 1e-6, log 1e-1) are 1.3 decades of ten from 1e-3 in the mean.
    uniform = math.log(10) * (3**2 + 2**2) / 2 / 5
    assert sum(distances(by_prior)) / 36 < uniform / 2
    assert len({one["l2"] for one in by_prior}) == 36
    assert begun[3::4] == plain[3::4]


def test_a_draw_follows_from_the_ticket_alone_until_ten_trials_have_finished() -> None:
    recipe, plain = recipe_of([TRIALS]), recipe_of([])
    first = drawn(recipe, range(6))
    assert drawn(recipe, range(6), finished=9, running=3) == first
    assert drawn(recipe, range(4, 6)) == first[4:]
    assert drawn(recipe_of([TRIALS], seed=1), range(3)) != first[:3]
    # Then TPE learns from the study's own trials, as without earlier studies.
    assert drawn(recipe, range(6), finished=10, running=3) == drawn(plain, range(6), finished=10, running=3)


def test_earlier_studies_of_different_hyperparameters_and_branches_are_pooled() -> None:
    # The nearer dropout is to 0.4 the better, and it is worst where it is off.
    on = [{"use dropout": True, "dropout": 0.4 + (0.04 * at if at % 2 else -0.04 * at)} for at in range(10)]
    params: list[dict[str, Any]] = [*on, *({"use dropout": False} for _ in range(10))]
    other = [{"rank": at / 20, "params": one} for at, one in enumerate(params)]
    space = {
        "l2": LOG,
        "dropout": {"off": True, "low": 0.0, "high": 0.8},
        "lr": {"low": 1e-4, "high": 1e-1, "log": True},
    }
    draws = drawn(recipe_of([TRIALS, other], techniques=["l2", "dropout"], space=space), range(32))
    by_prior = [one for ticket, one in enumerate(draws) if ticket % 4 != 3]
    assert sum(distances(by_prior)) / 24 < 2
    assert sum(one["use dropout"] for one in by_prior) > 16
    strengths = [one["dropout"] for one in by_prior if one["use dropout"]]
    # Uniform draws from 0 to 0.8 are 0.2 from its middle in the mean.
    assert sum(abs(one - 0.4) for one in strengths) / len(strengths) < 0.1
    # No earlier study says anything about lr, so it is drawn from its whole range.
    logs = [math.log10(one["lr"]) for one in by_prior]
    assert min(logs) < -3
    assert max(logs) > -2


def test_samplers_other_than_tpe_take_no_notice() -> None:
    for sampler in ("random", "gp", "nsgaii"):
        begun, plain = (drawn(recipe_of(earlier, sampler=sampler), range(3)) for earlier in ([TRIALS], []))
        assert begun == plain


def test_a_trial_that_is_not_in_the_space_is_refused() -> None:
    for params, says in (
        ({"l2": 0.5}, "earlier study 'study-0': l2 is searched over 1e-06:0.1:log, got 0.5 in a trial"),
        ({"lr": 0.5}, "earlier study 'study-0': lr is not searched, got 0.5 in a trial"),
    ):
        recipe = recipe_of([[{"rank": 0.0, "params": params}]])
        space = Space.resolve(recipe, select(recipe.techniques, ()))
        assert isinstance(space.searched["l2"], FloatDistribution)
        with pytest.raises(RequestError, match=says):
            validate_earlier(recipe, space)
