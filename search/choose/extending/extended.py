"""The extensions of a study: how far it has been extended, and the decision on the next extension."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from search.choose.asking import Region
from search.choose.edges import Edge, End, Interval, edges
from search.choose.extending.widened import Step, Widened, interval, length, spacing, whole_steps, widen
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.space import Space
from search.record.extensions import Extension, stored
from search.record.feasible import feasible
from search.train.metrics.objective import VAL_LOSS, Objective

MOST = 3
"""The largest number of times that one end of a range is moved."""

# These samplers ignore earlier trials. They draw from the new part, so that the whole range is searched evenly.
_BLIND = ("random", "qmc")


@dataclass(frozen=True)
class Extended:
    """A study's space and budget, as its extensions have made them.

    Attributes:
        recipe: the study's recipe.
        base: the space of the recipe.
        extensions: the extensions, in the order in which they were decided.
        aim: the study's objective.
    """

    recipe: Recipe
    base: Space
    extensions: tuple[Extension, ...] = ()
    aim: Objective = VAL_LOSS

    def read(self, attributes: Mapping[str, Any]) -> Extended:
        """Return the same with the extensions in the user attributes of the Optuna study."""
        return replace(self, extensions=stored(attributes))

    @cached_property
    def space(self) -> Space:
        """The space with its ranges as they are now."""
        return widen(self.base, self.extensions)

    @property
    def budget(self) -> int:
        """The total number of trials that the extensions ask for; 0 if there are none."""
        return max((extension.budget for extension in self.extensions), default=0)

    @property
    def regions(self) -> list[Region]:
        """The new parts of ranges, from which samplers that ignore earlier trials draw the trials of an extension."""
        if self.recipe.sampler not in _BLIND:
            return []
        regions = []
        for step in self._steps:
            tickets = range(step.extension.ticket, step.extension.budget)
            regions.append(Region(tickets, replace(self.space, searched=step.part), step.extension.name))
        return regions

    @property
    def fixed_ends(self) -> set[tuple[str, End]]:
        """The ends of ranges that are not moved, or not moved again, though the hyperparameter may go further.

        The ends of `epochs` are among them, because the rungs of all trials follow from the most epochs.
        """
        ends: tuple[End, End] = ("lower", "upper")
        moved = [(step.extension.name, step.end) for step in self._steps]
        return {
            (name, end)
            for name in self.space.searched
            for end in ends
            if self.recipe.sampler == "cmaes" or name == "epochs" or moved.count((name, end)) >= MOST
        }

    @property
    def _steps(self) -> tuple[Step, ...]:
        return self.space.steps if isinstance(self.space, Widened) else ()

    def warnings(self, trials: Collection[FrozenTrial]) -> list[str]:
        """Return a warning, with its remedy, for each end of a range at which the best trial lies.

        A study of several objectives has no best trial, and so no warning.
        """
        if len(self.recipe.objective) > 1:
            return []
        return [edge.warning(extends=(edge.name, edge.end) not in self.fixed_ends) for edge in self._edges(trials)]

    def _edges(self, trials: Collection[FrozenTrial]) -> list[Edge]:
        """Return the edges at which the best trial lies; none before a trial is feasible."""
        finished = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        complete = feasible(finished)
        if not complete:
            return []
        best = min(complete, key=lambda trial: (self.aim.loss(trial.values[0]), trial.number))
        tried = [trial.params for trial in finished]
        return edges(best.params, tried, self.space.searched, self.space.declared)

    def validate_extension(self) -> None:
        """Refuse to extend a study that cannot be extended.

        Raises:
            RequestError: there are several objectives, no range to widen, or a sampler that cannot use a wider one.
        """
        if len(self.recipe.objective) > 1:
            raise RequestError(
                "extend takes a study of one objective: a Pareto front always reaches the edges of its ranges"
            )
        if self.base.settings:
            raise RequestError("extend: this study lists its settings, so there is no range to widen")
        ranges = (FloatDistribution, IntDistribution)
        if not any(isinstance(distribution, ranges) for distribution in self.base.searched.values()):
            raise RequestError("extend: nothing is searched over a range; choices have no edge")
        if self.recipe.sampler == "cmaes":
            raise RequestError(
                "extend: sampler 'cmaes' cannot go on in a wider range, because its distribution is scaled to the old "
                "one; tpe, random, grid, gp and qmc can"
            )

    def decide(self, trials: Sequence[FrozenTrial], validate: Callable[[Space], object]) -> Extension | None:
        """Choose the next extension of a study whose budget is spent.

        One range is widened at a time. The number of trials grows in proportion to the length of the range, and by at
        least a cohort. The cells of a grid stay as far apart as before, and the range ends with the last one.

        Args:
            trials: all trials of the study, except failed ones.
            validate: raises RequestError for a space that the study cannot have.

        Returns:
            The extension; None if the best trial lies at no edge that may be moved.
        """
        grid = self.recipe.sampler == "grid"
        if grid and len(trials) < self.space.cell_count():
            return None
        for edge in self._edges(trials):
            if edge.wider is None or (edge.name, edge.end) in self.fixed_ends:
                continue
            before, after = interval(self.space.searched[edge.name]), edge.wider
            if grid:
                after = self._whole_steps(before, after, edge)
            share = length(after) / length(before) - 1
            added = max(self.recipe.ask_batch, math.ceil(len(trials) * share - 1e-6))
            extension = Extension(len(trials), edge.name, after.low, after.high, added)
            space = self.extended_by(extension).space
            if grid:
                extension = replace(extension, trials=space.cell_count() - self.space.cell_count())
            try:
                validate(space)
            except RequestError:
                continue
            return extension
        return None

    def _whole_steps(self, before: Interval, after: Interval, edge: Edge) -> Interval:
        step = spacing(self.base.searched[edge.name], self.base.points[edge.name])
        return whole_steps(before, after, edge.end, step)

    def extended_by(self, extension: Extension) -> Extended:
        """Return the study's space and budget with one more extension."""
        return replace(self, extensions=(*self.extensions, extension))
