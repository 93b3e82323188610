"""Samplers by name, built anew for each ask.

A sampler's random numbers are keyed by (study seed, ticket), where a ticket is the rank of a trial among those that
have not failed. All else that it knows, it reads from the study. So an interrupted ask is completed as if nothing had
happened, in another process too. There is one exception: qmc counts its points in the study, so that a process that
dies in the middle of an ask skips a point.
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

from search.choose import prior
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.space import Space
from search.train import streams

_UNCONDITIONAL = ("gp", "cmaes", "qmc")
_CONSTRAINED = ("tpe", "gp", "nsgaii")
_MOST_CELLS = 100_000
IN_STORAGE = ("grid", "qmc")
"""The samplers that keep something in the stored study: the queue of cells, or the count of points."""
_INDEPENDENT, _INDEPENDENT_COHORT = ("random", "grid", "qmc"), 64


class _TicketCmaEs(CmaEsSampler):
    """CMA-ES whose draws are numbered by ticket; Optuna numbers them by trial, which a failed trial shifts."""

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
    """QMC over given ranges; Optuna takes the ranges of the first trial for those of the whole study."""

    def __init__(self, seed: int, searched: Mapping[str, BaseDistribution]) -> None:
        super().__init__(seed=seed, scramble=True, warn_independent_sampling=False)
        self._searched = searched

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        del study, trial
        return dict(self._searched)


def grid_size(space: Space) -> int:
    """Return the number of cells of a grid over the space; raise RequestError if there are too many."""
    count = space.cell_count()
    if count > _MOST_CELLS:
        raise RequestError(
            f"the grid has more than {_MOST_CELLS:,} cells: give fewer --grid-points, or search fewer hyperparameters"
        )
    return count


def validate_sampler(name: str, space: Space) -> None:
    """Raise RequestError if the sampler cannot search the space."""
    if not space.searched and not space.settings:
        raise RequestError("nothing is searched: give a hyperparameter a range, as in --space lr=1e-4:1e-1:log")
    if name in _UNCONDITIONAL and space.conditional:
        raise RequestError(
            f"sampler {name!r} cannot search conditional hyperparameters ({_conditional(space)}); tpe, random, grid and"
            " nsgaii can"
        )


def cohort_size(recipe: Recipe) -> int:
    """Return the number of trials that are asked together: the recipe's `ask_batch`, or 64 if that changes nothing.

    A GPU trains more trials in nearly the same time. They change nothing where no trial depends on another one: the
    sampler does not learn, nothing is pruned, and the study ends with its budget. What the recipe gives is obeyed; so
    is what a study has stored, whose identity stays as it is.
    """
    alone = recipe.sampler in _INDEPENDENT and recipe.pruner.name == "none" and recipe.until is None
    if "ask_batch" in recipe.model_fields_set or not alone:
        return recipe.ask_batch
    return max(recipe.ask_batch, _INDEPENDENT_COHORT)


def notes(recipe: Recipe, space: Space) -> list[str]:
    """Return what the user of the recipe's sampler should know about it on this space, a line each."""
    notes = []
    if recipe.sampler == "cmaes" and len(space.searched) < 2:
        notes.append("cmaes needs at least two hyperparameters: with one it samples at random")
    if recipe.constraints and recipe.sampler not in _CONSTRAINED:
        notes.append(
            f"sampler {recipe.sampler} does not search where constraints hold: it only keeps the trials that violate"
            f" them from being chosen; {', '.join(_CONSTRAINED)} learn from them"
        )
    if recipe.sampler == "nsgaii" and space.conditional:
        notes.append(
            "nsgaii breeds only the hyperparameters that all trials have, and draws those at random that exist in some"
            f" ({_conditional(space)}): tpe learns about all of them"
        )
    if recipe.sampler in ("gp", "nsgaii") and recipe.pruner.name not in ("none", "pareto"):
        notes.append(f"{recipe.sampler} learns nothing from pruned trials: consider --pruner none")
    return notes


def _conditional(space: Space) -> str:
    """Return the conditional hyperparameters as text, those with `off` in their range marked."""
    off = space.switches.off
    return ", ".join(f"{name} with off" if name in off else name for name in space.dimensions if space.depends(name))


def build(recipe: Recipe, ticket: int, space: Space) -> BaseSampler:
    """Build the sampler for one ask; for a grid any will do, as its cells wait in the study's queue.

    Args:
        recipe: the recipe, which has the sampler's name and the seed.
        ticket: the trial's rank among those that have not failed.
        space: the space to sample.
    """
    name, seed = recipe.sampler, streams.key(recipe.seed, "sampler", ticket) % 2**31
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        if name == "tpe":
            # Running trials count as bad ones (constant liar, Optuna's default), so that a cohort spreads out. Cohorts
            # need fewer trials if it is multivariate, with more candidates than Optuna's 24: `benchmarks/asking.py`.
            group, candidates, startup = space.conditional, prior.CANDIDATES, prior.STARTUP
            tpe = TPESampler(
                seed=seed, multivariate=True, group=group, n_ei_candidates=candidates, n_startup_trials=startup
            )
            return prior.WarmStartedTPE(tpe, recipe, space, seed) if prior.draws_by_prior(recipe, ticket) else tpe
        if name == "gp":
            return GPSampler(seed=seed)
        if name == "cmaes":
            return _TicketCmaEs(ticket, seed)
        if name == "nsgaii":
            # A cohort is a generation, which needs two parents at least.
            return NSGAIISampler(seed=seed, population_size=max(2, recipe.ask_batch))
        if name == "qmc":
            # The study has one sequence, whose scrambling must not change from ask to ask.
            if space.moved:
                return _RangedQMC(recipe.seed % 2**31, space.searched)
            return QMCSampler(seed=recipe.seed % 2**31, scramble=True, warn_independent_sampling=False)
    return RandomSampler(seed=seed)
