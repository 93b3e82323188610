"""TPE whose first trials are drawn by what earlier studies have found.

TPE draws at random until ten trials have finished. A search that begins from earlier studies draws these trials by a
TPE that knows the trials of the earlier studies only; every fourth one is still drawn at random, so that no prior can
exclude the optimum. From then on, TPE learns from the search's own trials alone.

The earlier trials are in the recipe, so each draw follows from the recipe and the ticket (contract C7, docs/design.md).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.distributions import contains
from search.recipe.space import Space

STARTUP = 10
"""The number of finished trials from which TPE learns from the study itself; Optuna's default."""
CANDIDATES = 64
"""The number of values among which TPE chooses; `benchmarks/asking.py` measures it."""
_RANDOM = 4


def draws_by_prior(recipe: Recipe, ticket: int) -> bool:
    """Return whether the trial of a ticket is drawn by the earlier studies, if it is one of the first."""
    return any(one.trials for one in recipe.earlier) and ticket % _RANDOM != _RANDOM - 1


def validate_earlier(recipe: Recipe, space: Space) -> None:
    """Raise RequestError if the trial of an earlier study has a parameter that is not searched, or another value."""
    for earlier in recipe.earlier:
        for trial in earlier.trials:
            for name, value in trial.params.items():
                if name not in space.searched or not contains(space.searched[name], value):
                    what = f"searched over {space.text(name)}" if name in space.searched else "not searched"
                    raise RequestError(f"earlier study {earlier.study!r}: {name} is {what}, got {value} in a trial")


class WarmStartedTPE(BaseSampler):
    """TPE that draws the first trials by the trials of earlier studies, which count by their ranks.

    Args:
        tpe: the sampler of all later trials.
        recipe: the recipe, which has the trials of the earlier studies.
        space: the space to sample.
        seed: the seed of the draw.
    """

    def __init__(self, tpe: TPESampler, recipe: Recipe, space: Space, seed: int) -> None:
        self._tpe, self._recipe, self._space, self._seed = tpe, recipe, space, seed
        self._chosen: tuple[TPESampler, Study] | None = None

    def _choose(self, study: Study) -> tuple[TPESampler, Study]:
        """Return the sampler and the study that it learns from, the same ones for all values of a trial."""
        if self._chosen is None:
            finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
            self._chosen = self._prior() if len(finished) < STARTUP else (self._tpe, study)
        return self._chosen

    def _prior(self) -> tuple[TPESampler, Study]:
        study = optuna.create_study()
        study.add_trials(earlier_trials(self._recipe, self._space))
        # It writes nothing about the new trial into this study: without the constant liar, it only reads. The trials of
        # different studies have different parameters, so they are grouped.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            options: dict[str, Any] = {"multivariate": True, "group": True, "constant_liar": False}
            tpe = TPESampler(seed=self._seed, n_startup_trials=0, n_ei_candidates=CANDIDATES, **options)
        return tpe, study

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        sampler, known = self._choose(study)
        return sampler.infer_relative_search_space(known, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        sampler, known = self._choose(study)
        return sampler.sample_relative(known, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        sampler, known = self._choose(study)
        return sampler.sample_independent(known, trial, param_name, param_distribution)


def earlier_trials(recipe: Recipe, space: Space) -> Sequence[FrozenTrial]:
    """Return the trials of a recipe's earlier studies as if they were drawn from the space, with their ranks as values.

    They come by rank, because TPE gives the first of many trials less weight.
    """
    trials = [trial for earlier in recipe.earlier for trial in earlier.trials]
    return [
        create_trial(
            value=trial.rank,
            params=dict(trial.params),
            distributions={name: space.searched[name] for name in trial.params},
        )
        for trial in sorted(trials, key=lambda trial: trial.rank)
    ]
