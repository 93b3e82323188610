"""Samplers by name, built anew for each ask.

A sampler's randomness is keyed by (study seed, ticket), a trial's rank among those not failed, and everything else it
knows it reads from the study: so an interrupted ask goes on as if nothing had happened, in another process too. With
one exception: qmc counts its points in the study, so a process that dies in the middle of an ask skips a point.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial

from search.choose.extending import Widened
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.space import Space
from search.train import streams

_UNCONDITIONAL = ("gp", "cmaes", "qmc")
IN_STORAGE = ("grid", "qmc")
"""Those that keep something of their own in the stored study: its queue of cells, the count of points."""


class _TicketCmaEs(CmaEsSampler):
    """CMA-ES whose draws are numbered by ticket: Optuna's own are by trial number, which a failed trial shifts."""

    def __init__(self, ticket: int, seed: int) -> None:
        super().__init__(seed=seed, warn_independent_sampling=False)
        self._ticket = ticket

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        renumbered = copy.copy(trial)
        renumbered.number = self._ticket
        return super().sample_relative(study, renumbered, search_space)


class _RangedQMC(QMCSampler):
    """QMC over given ranges: Optuna's own takes those of the first trial for the whole study's."""

    def __init__(self, seed: int, searched: Mapping[str, BaseDistribution]) -> None:
        super().__init__(seed=seed, scramble=True, warn_independent_sampling=False)
        self._searched = searched

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        del study, trial
        return dict(self._searched)


def check(name: str, space: Space) -> None:
    """Raises RequestError for a sampler that cannot search the space."""
    if not space.searched and not space.settings:
        raise RequestError("nothing is searched: give a hyperparameter a range, as in --space lr=1e-4:1e-1:log")
    if name in _UNCONDITIONAL and space.conditional:
        raise RequestError(f"sampler {name!r} cannot search conditional hyperparameters; tpe, random and grid can")


def notes(recipe: Recipe, space: Space) -> list[str]:
    """What the user of the recipe's sampler on this space should know, a line each."""
    if recipe.sampler == "cmaes" and len(space.searched) < 2:
        return ["cmaes needs two hyperparameters or more: with one it samples at random"]
    if recipe.sampler in ("gp", "nsgaii") and recipe.pruner.name not in ("none", "pareto"):
        return [f"{recipe.sampler} learns nothing from pruned trials: consider --pruner none"]
    return []


def build(recipe: Recipe, ticket: int, space: Space) -> BaseSampler:
    """The sampler for one ask; for a grid, whose cells wait in the study's queue, any will do.

    Args:
        recipe: names it, and has its seed.
        ticket: the trial's rank among those not failed.
        space: what it samples from.
    """
    name, drawn = recipe.sampler, streams.key(recipe.seed, "sampler", ticket) % 2**31
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == "tpe":
            # Running trials count as bad ones (constant liar, Optuna's default): a cohort spreads out. Multivariate,
            # with more candidates than Optuna's 24, because cohorts then need fewer trials: `benchmarks/asking.py`.
            return TPESampler(seed=drawn, multivariate=True, group=space.conditional, n_ei_candidates=64)
        if name == "gp":
            return GPSampler(seed=drawn)
        if name == "cmaes":
            return _TicketCmaEs(ticket, drawn)
        if name == "nsgaii":
            # A cohort is a generation; with two parents there is something to cross.
            return NSGAIISampler(seed=drawn, population_size=max(2, recipe.ask_batch))
        if name == "qmc":
            # One sequence for the whole study: its scrambling must not change from ask to ask.
            if isinstance(space, Widened):
                return _RangedQMC(recipe.seed % 2**31, space.searched)
            return QMCSampler(seed=recipe.seed % 2**31, scramble=True, warn_independent_sampling=False)
    return RandomSampler(seed=drawn)
