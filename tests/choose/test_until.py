"""A study ends when a bound on what is left to gain says so, by its complete trials, and by nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy import stats

from search.choose.asking import Asker
from search.choose.claims import FileClaims
from search.choose.extending.asker import ExtendingAsker
from search.choose.extending.extended import Extended
from search.choose.until import (
    LEAST,
    Outlook,
    Until,
    in_one_space,
    regret_bound,
    standard_error,
    stored_outlook,
    validate_until,
)
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.discovery import select
from search.recipe.space import Space
from search.record.curves import CURVES, Curves
from search.record.observer import Asked
from search.train.metrics.objective import BUILT_IN, VAL_LOSS

LR = {"lr": {"low": 1e-4, "high": 1e-1, "log": True}}
Loss = Callable[[Mapping[str, Any]], float]


def recipe_of(**changes: Any) -> Recipe:
    fields: dict[str, Any] = {"name": "x", "trials": 40, "ask_batch": 8, "space": LR, "sampler": "random"}
    return Recipe.parse(fields | changes, "x")


def space_of(recipe: Recipe) -> Space:
    return Space.resolve(recipe, select(recipe.techniques, ()))


def bowl(values: Mapping[str, Any]) -> float:
    """A loss of at least 1, which a Gaussian process knows after a few trials."""
    return 1 + (math.log10(values["lr"]) + 2.5) ** 2


class Searched:
    """A study in memory, of a loss that no network computes.

    Args:
        folder: the folder that names its locks.
        loss: the loss of a trial by its values.
    """

    def __init__(self, folder: Path, loss: Loss = bowl) -> None:
        self._storage, self._loss = RDBStorage("sqlite:///:memory:"), loss
        self.study = optuna.create_study(storage=self._storage, study_name="x")
        self._claims = FileClaims(str(folder), "x")

    def asker(self, recipe: Recipe, claims: FileClaims) -> Asker:
        until = None if recipe.until is None else Until(recipe.until, VAL_LOSS, recipe.seed)
        return Asker(self.study, self._storage, recipe, space_of(recipe), recipe.trials, claims, until=until)

    def tell(self, one: Asked) -> None:
        value = self._loss(one.values)
        one.trial.set_user_attr(CURVES, Curves(("val_loss",), np.full((1, 1, 1), value)).encode())
        self.study.tell(one.trial, value)

    def run(self, recipe: Recipe) -> list[FrozenTrial]:
        """Ask and tell until nothing is left, with a new asker for each cohort; return all trials."""
        while (cohort := self.asker(recipe, self._claims).next_cohort()) is not None:
            for one in cohort[1]:
                self.tell(one)
        self._claims.release()
        return self.study.get_trials()


def complete(space: Space, losses: Mapping[float, float]) -> list[FrozenTrial]:
    """Return complete trials with these losses at these learning rates."""
    trials = [
        create_trial(value=loss, params={"lr": lr}, distributions=dict(space.searched)) for lr, loss in losses.items()
    ]
    for number, trial in enumerate(trials):
        trial.number = number
    return trials


def curve(count: int, scale: float = 1.0) -> dict[float, float]:
    return {lr: scale * bowl({"lr": lr}) for lr in np.geomspace(1e-4, 1e-1, count).tolist()}


def test_a_study_ends_at_its_bound_and_its_trials_are_the_first_ones_without_a_rule(tmp_path: Path) -> None:
    whole = Searched(tmp_path).run(recipe_of())
    searched = Searched(tmp_path)
    ended = searched.run(recipe_of(until=0.01))
    assert LEAST <= len(ended) < len(whole) == 40
    assert [trial.params for trial in ended] == [trial.params for trial in whole[: len(ended)]]
    best = min(trial.value for trial in ended)
    assert best <= 1.01 * min(trial.value for trial in whole)
    # The same command asks for nothing; with a smaller share, or without the rule, it goes on.
    assert searched.run(recipe_of(until=0.01)) == ended
    assert searched.run(recipe_of(until=0.01, trials=80)) == ended
    assert len(ended) < len(searched.run(recipe_of(until=1e-12, trials=32))) == 32
    assert [trial.params for trial in searched.run(recipe_of())] == [trial.params for trial in whole]


def test_a_study_that_still_improves_spends_its_budget(tmp_path: Path) -> None:
    """The loss depends on nothing that is searched, so no bound is near the best value's last digits."""
    drawn = np.random.default_rng(0)
    assert len(Searched(tmp_path, lambda _: float(drawn.lognormal())).run(recipe_of(until=0.01))) == 40


def test_a_stored_outlook_is_obeyed(tmp_path: Path) -> None:
    searched = Searched(tmp_path)
    searched.run(recipe_of(trials=LEAST))
    stored = {"trials": LEAST, "complete": LEAST, "best": 1.0, "bound": 0.0, "error": None, "widened": {}}
    searched.study.set_user_attr(f"until:{LEAST}", stored)
    assert len(searched.run(recipe_of(until=1e-12))) == LEAST
    # One of another space is not.
    searched.study.set_user_attr(f"until:{LEAST}", stored | {"widened": {"lr": [1e-5, 1e-1]}})
    assert len(searched.run(recipe_of(until=1e-12, trials=LEAST + 2))) == LEAST + 2
    assert searched.study.user_attrs[f"until:{LEAST}"]["widened"] == {}


def test_a_process_waits_for_what_others_train_and_then_ends(tmp_path: Path) -> None:
    searched, recipe = Searched(tmp_path), recipe_of(until=0.5, trials=80)
    claims = [FileClaims(str(tmp_path), "x") for _ in range(2)]
    mine, other = (searched.asker(recipe, one) for one in claims)
    searched.run(recipe_of(trials=16))
    assert regret_bound(searched.study.get_trials(), space_of(recipe), VAL_LOSS, 0) < 0.5
    cohort = searched.asker(recipe_of(trials=80), claims[1]).next_cohort()
    assert cohort is not None
    assert len(cohort[1]) == 8
    assert mine.next_cohort() == (cohort[0], [])
    for one in cohort[1]:
        searched.tell(one)
    claims[1].release()
    assert mine.next_cohort() is None
    assert other.next_cohort() is None
    assert len(searched.study.get_trials()) == 24


def test_a_range_is_widened_where_nothing_is_left_to_gain_within_it(tmp_path: Path) -> None:
    low = {"lr": {"low": 1e-4, "high": 2e-3, "log": True}}
    searched, recipe = Searched(tmp_path), recipe_of(until=0.02, space=low, trials=60)
    space, claims = space_of(recipe), FileClaims(str(tmp_path), "x")
    extended = Extended(recipe, space)
    while True:
        asker = ExtendingAsker(searched.asker(recipe, claims), extended, lambda _space: None)
        if (cohort := asker.next_cohort()) is None:
            break
        for one in cohort[1]:
            searched.tell(one)
    claims.release()
    extension, *_ = asker.extended.extensions
    assert LEAST <= extension.ticket < 60, "before the budget was spent"
    assert len(searched.study.trials) > extension.ticket, "the wider range has more to gain"
    at_the_end = searched.study.user_attrs[f"until:{len(searched.study.trials)}"]
    assert at_the_end["widened"] == {"lr": [extension.low, extension.high]}
    # What was decided about the narrow range does not end a search of the wider one.
    assert stored_outlook(searched.study.user_attrs, extension.ticket, space) is None
    assert min(trial.value for trial in searched.study.trials if trial.value is not None) < 1.01


def test_what_a_user_asked_for_is_trained_first(tmp_path: Path) -> None:
    listed = [{"set": {"lr": lr}} for lr in np.geomspace(1e-4, 1e-1, 24).tolist()]
    searched, recipe = Searched(tmp_path), recipe_of(until=0.5, settings=listed)
    assert [trial.params["lr"] for trial in searched.run(recipe)] == [one["set"]["lr"] for one in listed]
    searched.study.enqueue_trial({"lr": 0.05})
    assert 0.05 in [trial.params["lr"] for trial in searched.run(recipe)[24:]]


def test_what_matters_is_the_larger_of_share_and_error() -> None:
    outlook = Outlook(20, 14, best=-2.0, bound=0.03, error=0.025, widened={})
    assert outlook.matters(0.02) == pytest.approx(0.04)
    assert outlook.matters(0.001) == 0.025
    assert outlook.is_enough(0.02)
    assert not outlook.is_enough(0.001)
    assert not Outlook(20, 14, best=0.0, bound=1e-9, error=None, widened={}).is_enough(0.5)


def test_the_bound_is_above_what_is_left_and_falls() -> None:
    space = space_of(recipe_of())
    bounds = [regret_bound(complete(space, curve(count)), space, VAL_LOSS, 0) for count in (5, 10, 20, 40)]
    left = [min(curve(count).values()) - 1 for count in (5, 10, 20, 40)]
    assert all(bound > gain for bound, gain in zip(bounds, left, strict=True))
    assert bounds[-1] < 0.02 < bounds[0]


def test_the_worse_half_does_not_change_the_bound() -> None:
    space = space_of(recipe_of())
    trials = complete(space, curve(20))
    bound = regret_bound(trials, space, VAL_LOSS, 0)
    worse = sorted(trials, key=lambda trial: -trial.values[0])[:10]
    for losses in (3e38, 1e3):
        for trial in worse:
            trial.values = [losses]
        assert regret_bound(trials, space, VAL_LOSS, 0) == bound


def test_both_directions_have_the_same_bound() -> None:
    space, accuracy = space_of(recipe_of()), BUILT_IN["val_mcc"]
    losses = curve(15, scale=0.1)
    bound = regret_bound(complete(space, losses), space, VAL_LOSS, 0)
    assert bound < 0.1
    gains = complete(space, {lr: -loss for lr, loss in losses.items()})
    assert regret_bound(gains, space, accuracy, 0) == pytest.approx(bound, rel=1e-9)


def test_nothing_is_left_to_gain_on_a_perfect_trial() -> None:
    space, accuracy = space_of(recipe_of()), BUILT_IN["val_accuracy"]
    near = {lr: 1 - loss / 100 for lr, loss in curve(15).items()}
    assert 0 < regret_bound(complete(space, near), space, accuracy, 0) <= 0.01
    perfect = near | {1e-3: 1.0}
    assert regret_bound(complete(space, perfect), space, accuracy, 0) == 0


def test_equally_good_trials_do_not_hide_the_others() -> None:
    space = space_of(recipe_of())
    losses = dict.fromkeys(np.geomspace(1e-4, 1e-2, 14).tolist(), 0.5)
    assert regret_bound(complete(space, losses), space, VAL_LOSS, 0) < 1e-6
    assert regret_bound(complete(space, losses | {0.05: 0.75, 0.1: 0.9}), space, VAL_LOSS, 0) > 1e-3


def test_a_space_with_conditions_has_a_bound() -> None:
    """No hyperparameter but the optimiser is in all trials; where one is missing it stands at its neutral value."""
    recipe = recipe_of(techniques=["optimizer"], space={"l2": {"off": True, "low": 1e-6, "high": 0.1, "log": True}})
    recipe = recipe.but("x", techniques=["optimizer", "l2"])
    space = space_of(recipe)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        trial = study.ask()
        values = space.suggest(trial)
        study.tell(trial, 1 + abs(math.log10(values["lr"]) + 2))
    drawn = study.get_trials()
    assert len({frozenset(trial.params) for trial in drawn}) > 2
    shown = in_one_space(drawn, space, VAL_LOSS)
    assert {frozenset(trial.params) for trial in shown} == {frozenset(space.searched)}
    absent = [by for by in shown if not by.params["use l2"]]
    assert {trial.params["l2"] for trial in absent} == {1e-6}
    assert 0 < regret_bound(drawn, space, VAL_LOSS, 0) < 10


@pytest.mark.parametrize("count", [3, 7])
def test_the_error_of_replicates_is_that_of_a_mean(count: int) -> None:
    values = np.random.default_rng(0).normal(size=count)
    assert standard_error(values, 0, 0.0) == pytest.approx(stats.sem(values))


def test_the_error_of_folds_allows_for_shared_rows() -> None:
    """Three folds of two replicates each, whose means are 1, 2 and 6: s^2 = 7, and a fold validates on half as many."""
    values = np.array([0.0, 1.0, 5.0, 2.0, 3.0, 7.0])
    assert standard_error(values, 3, 0.5) == pytest.approx(math.sqrt((1 / 3 + 0.5) * 7))


def test_an_error_that_is_not_known_is_none() -> None:
    assert standard_error(np.array([1.0, 2.0]), 0, 0.0) is None
    assert standard_error(np.arange(8.0), 2, 1.0) is None


def test_only_complete_trials_count_that_may_be_chosen() -> None:
    space = space_of(recipe_of())
    trials = complete(space, curve(LEAST))
    recorder: Any = None  # asked for curves only once there are enough trials
    for trial in trials:
        trial.state = TrialState.PRUNED
    assert Until(0.1, VAL_LOSS, 0).outlook(space, trials, recorder) is None
    for trial in trials:
        trial.state = TrialState.COMPLETE
    trials[3].set_constraint("sparsity > 0.5", 0.2)
    assert Until(0.1, VAL_LOSS, 0).outlook(space, trials, recorder) is None
    outside = complete(space, curve(LEAST))
    outside[0].distributions, outside[0].params = {}, {"lr": 5.0}
    assert Until(0.1, VAL_LOSS, 0).outlook(space, outside, recorder) is None


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"objective": ["val_loss", "sparsity"]}, "one objective: a Pareto front has no best value"),
        ({"sampler": "grid"}, "a grid has as many trials as cells"),
        ({"space": {}, "settings": [{"set": {"lr": 0.1}}], "sampler": "grid"}, "this study lists its settings"),
    ],
)
def test_what_cannot_end_early_is_refused(changes: dict[str, Any], says: str) -> None:
    recipe = recipe_of(**changes)
    validate_until(recipe)
    with pytest.raises(RequestError, match=says):
        validate_until(recipe.but("x", until=0.01))


@pytest.mark.parametrize(("given", "share"), [("0.1%", 0.001), ("0.001", 0.001), (0.25, 0.25), (" 50 % ", 0.5)])
def test_a_share_is_a_number_or_a_percentage(given: Any, share: float) -> None:
    assert recipe_of(until=given).until == share


@pytest.mark.parametrize("given", ["0", "1", "100%", "0%", "-1%", "nan", "many", "%", True, 5, [0.1]])
def test_no_other_share_is_taken(given: Any) -> None:
    with pytest.raises(RequestError, match="until takes a share of the best value between 0 and 1"):
        recipe_of(until=given)
