"""Decide at each ask whether the study still has something to gain that matters (`until` of a recipe).

Before a cohort is asked, an upper bound is computed on the improvement that is still to be expected: how much better
than the best trial so far the best of the whole space may be. The study asks for no more as soon as the bound is at
most what matters, which is the larger of

    share * |best value so far|
    the standard error of the best trial's objective, where it has at least three replicates or folds

The bound is that of Optuna's `RegretBoundEvaluator`, from a Gaussian process on the best half of the complete trials, n
of them, and at least eight:

    bound = max_x (m(x) + b s(x)) - max_i (m(x_i) - b s(x_i)),   b^2 = (2 / 5) ln(d n^2 pi^2 / 0.6)

where m and s are the posterior mean and standard deviation of the negative loss at x, in a space of d dimensions. All
trials have all dimensions: a hyperparameter that a trial lacks stands at its neutral value. The ranges are those that
are searched now. `benchmarks/until.py` measures what this saves and loses, beside Optuna's other evaluator.

Optuna calls its module `terminator` deprecated, to be removed in version 6; `pyproject.toml` asks for one below that.

Source: Makarova et al., "Automatic termination for hyperparameter optimization" (AutoML 2022); for folds, Nadeau and
Bengio, "Inference for the generalization error" (Machine Learning 52, 2003).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.study import StudyDirection
from optuna.terminator import RegretBoundEvaluator
from optuna.trial import FrozenTrial, create_trial

from search.data import Data
from search.data.folds import overlap
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.distributions import contains
from search.recipe.space import Space
from search.record.feasible import feasible
from search.record.objectives import Objectives
from search.record.recorder import Recorder
from search.record.summary import objectives as of_each_network
from search.statistics.sampled import sampled
from search.technique import Numeric
from search.train import streams
from search.train.metrics.objective import Objective

LEAST = 12
"""The complete trials that a bound takes: from fewer it is often less than what the study gains later."""
_MOST = 1024
"""The complete trials that a bound takes at most, the best ones: the time for them grows with n^3."""
_HALF = 8
"""The trials of the best half, at least. Optuna's default is 20, among which are bad trials of a study of 64 that is
pruned, so that the bound is larger (`benchmarks/until.py`)."""
_REPLICATES = 3
"""The replicates or folds from which a standard error is known."""


@dataclass(frozen=True)
class Outlook:
    """What was still to be gained at one ask, as the study stores it.

    Attributes:
        trials: the number of trials that had been asked, without failed ones.
        complete: the number of complete trials that met all constraints.
        best: the best value of those.
        bound: the upper bound on the improvement that was still to be expected.
        error: the standard error of the best trial's objective; None if it is not known.
        widened: the ends of the ranges that had been widened; in other ranges the outlook is another one.
    """

    trials: int
    complete: int
    best: float
    bound: float
    error: float | None
    widened: Mapping[str, Sequence[float]]

    def matters(self, share: float) -> float:
        """Return the least improvement that matters, for a share of the best value."""
        return max(share * abs(self.best), self.error or 0.0)

    def is_enough(self, share: float) -> bool:
        """Return whether nothing is left to gain that matters."""
        return self.bound <= self.matters(share)


@dataclass(frozen=True)
class Until:
    """The rule of one study.

    Attributes:
        share: the share of the best value below which an improvement does not matter.
        aim: the objective.
        seed: the seed of the study.
        folds: the number of folds on which the networks of a trial train; 0 without a cross-validation.
        overlap: the validation rows of a fold by its training rows.
    """

    share: float
    aim: Objective
    seed: int
    folds: int = 0
    overlap: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe, objectives: Objectives, data: Data) -> Until | None:
        """Return the rule of a recipe; None if it has none."""
        if recipe.until is None:
            return None
        return cls(recipe.until, objectives.first, recipe.seed, len(data.folds), overlap(data))

    def is_reached(self, study: optuna.Study, space: Space, trials: Sequence[FrozenTrial], recorder: Recorder) -> bool:
        """Return whether nothing is left to gain; what was stored at the same number of trials is obeyed.

        Args:
            study: the Optuna study, in which the outlook is stored.
            space: the space that is searched now.
            trials: the study's own trials, without failed ones.
            recorder: has the curves of those whose results are not written yet.
        """
        outlook = stored_outlook(study.user_attrs, len(trials), space)
        if outlook is None:
            outlook = self.outlook(space, trials, recorder)
            if outlook is None:
                return False
            study.set_user_attr(_key(len(trials)), asdict(outlook))
        return outlook.is_enough(self.share)

    def outlook(self, space: Space, trials: Sequence[FrozenTrial], recorder: Recorder) -> Outlook | None:
        """Return the outlook after some trials; None if too few are complete, or if the bound is not finite.

        Args: see `is_reached`.
        """
        complete = [trial for trial in feasible(trials) if math.isfinite(trial.values[0]) and _fits(trial, space)]
        if len(complete) < LEAST:
            return None
        best = min(complete, key=lambda trial: (self.aim.loss(trial.values[0]), trial.number))
        bound = regret_bound(complete, space, self.aim, streams.key(self.seed, "until", len(trials)) % 2**31)
        if not math.isfinite(bound):
            return None
        networks = of_each_network(recorder.curves(best.number), self.aim)
        error = standard_error(networks, self.folds, self.overlap)
        return Outlook(len(trials), len(complete), best.values[0], bound, error, _widened(space))


def validate_until(recipe: Recipe) -> None:
    """Refuse to end a study early that has no best value, or whose trials are all known.

    Raises:
        RequestError: the recipe has `until`, and several objectives, a grid, or explicit settings.
    """
    if recipe.until is None:
        return
    if len(recipe.objective) > 1:
        raise RequestError("until takes a study of one objective: a Pareto front has no best value to compare with")
    if recipe.sampler == "grid":
        all_known = "this study lists its settings" if recipe.settings else "a grid has as many trials as cells"
        raise RequestError(f"until: {all_known}, and trains each of them; with a sampler such as tpe it can end early")


def stored_outlook(attributes: Mapping[str, Any], trials: int, space: Space) -> Outlook | None:
    """Return the outlook that a study has stored for its space; None if there is none.

    Args:
        attributes: the user attributes of the Optuna study.
        trials: the number of its own trials, without failed ones.
        space: the space that it searches now.
    """
    stored = attributes.get(_key(trials))
    return Outlook(**stored) if stored is not None and stored["widened"] == _widened(space) else None


def regret_bound(complete: Sequence[FrozenTrial], space: Space, aim: Objective, seed: int) -> float:
    """Return the upper bound on the improvement that is still to be expected; the module's docstring defines it.

    No trial is better than a perfect one, so the bound is at most the distance from the best trial to that.

    Args:
        complete: complete trials with finite values in the ranges of the space.
        space: the space that is searched.
        aim: the objective.
        seed: the seed of the points at which the space is searched for the largest upper confidence bound.
    """
    shown = in_one_space(complete, space, aim)
    # Trials that are equally good say nothing about the others, so that one of those must be among the best half.
    equal = sum(trial.value == shown[0].value for trial in shown)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = RegretBoundEvaluator(min_n_trials=max(_HALF, equal + 1), seed=seed)
    bound = float(evaluator.evaluate(shown, StudyDirection.MINIMIZE))
    if aim.best is None:
        return bound
    return min(bound, *(aim.gap(trial.values[0]) for trial in complete))


def in_one_space(complete: Sequence[FrozenTrial], space: Space, aim: Objective) -> list[FrozenTrial]:
    """Return trials with the same losses, each of which has every parameter of the space, the best first.

    Args: see `regret_bound`.
    """
    shown = [
        create_trial(
            value=float(aim.loss(trial.values[0])),
            params={name: _value(trial, name, space) for name in space.searched},
            distributions=dict(space.searched),
        )
        for trial in sorted(complete, key=lambda trial: (aim.loss(trial.values[0]), trial.number))
    ]
    return shown[:_MOST]


def standard_error(networks: NDArray[np.float64], folds: int, overlap: float) -> float | None:
    """Return the standard error of the mean over a trial's networks; None if there are fewer than three values.

    It is ``sqrt((1 / K + overlap) s^2)`` for the standard deviation s of K replicates (overlap 0), or of the means of K
    folds, which share training rows.

    Args:
        networks: the objective of each network, ``(networks,)``; network r trains on fold r modulo their number.
        folds: the number of folds, 0 without a cross-validation.
        overlap: the validation rows of a fold by its training rows.
    """
    values = np.array([networks[fold::folds].mean() for fold in range(folds)]) if folds else networks
    if len(values) < _REPLICATES:
        return None
    return math.sqrt(float(sampled(values, overlap).variance))


def _fits(trial: FrozenTrial, space: Space) -> bool:
    """Return whether a trial's values lie in the ranges; those that another program has enqueued may not."""
    return all(contains(one, trial.params[name]) for name, one in space.searched.items() if name in trial.params)


def _value(trial: FrozenTrial, name: str, space: Space) -> Any:
    """Return a trial's value of a parameter, or, if it has none, the value in the range that does the least."""
    distribution: BaseDistribution = space.searched[name]
    if name in trial.params:
        return trial.params[name]
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    declared = space.declared.get(name)
    neutral = declared.neutral if isinstance(declared, Numeric) else None
    return distribution.low if neutral is None else min(max(neutral, distribution.low), distribution.high)


def _widened(space: Space) -> dict[str, list[float]]:
    ranges = {name: one for name, one in space.moved.items() if isinstance(one, FloatDistribution | IntDistribution)}
    return {name: [one.low, one.high] for name, one in ranges.items()}


def _key(trials: int) -> str:
    return f"until:{trials}"
