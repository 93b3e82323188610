"""Ranges that are widened when the best trial of a spent budget lies at their edge (`--extend`).

What has been decided is kept in the study, like the verdicts of pruners, and obeyed by whoever goes on with it. The
study stays what it is: its identity is that of the ranges it began with.

    budget spent --> best at an edge? --> a wider range, more trials --> budget spent --> ...

A decision follows from the finished trials alone, and is made where none is in training: so a study that was
interrupted, at whatever instant, comes to the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from search.choose.edges import Edge, End, Interval, edges, ranging
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.distributions import grid_values
from search.recipe.space import Space
from search.technique import Value

EXTENSIONS = "extensions"
"""Study attribute: a list of `Extension`s, as dicts."""
MOST = 3
"""How often a range is widened on one side at most."""

# Those that are drawn without a look at others: in the part that is new, so that all of the range is searched evenly.
_BLIND = ("random", "qmc")


@dataclass(frozen=True)
class Extension:
    """One range, widened on one side.

    Attributes:
        ticket: of the first trial after it. trials: how many it adds to the budget.
        name: the hyperparameter. low, high: its whole range from then on.
    """

    ticket: int
    name: str
    low: float
    high: float
    trials: int


@dataclass(frozen=True)
class Step:
    """An extension as the space has it.

    Attributes:
        end: which was moved.
        part: what was searched then, and of the range that was widened the part that is new.
    """

    extension: Extension
    end: End
    part: Mapping[str, BaseDistribution]


@dataclass(frozen=True, kw_only=True)
class Widened(Space):
    """A space with ranges that have been widened.

    Attributes:
        base: as it was before.
        steps: in the order of their making.
    """

    base: Space
    steps: tuple[Step, ...]

    def cells(self) -> Iterator[dict[str, Value]]:
        """The base's, and after them those that each step adds, in its new part, as far apart as the others."""
        yield from self.base.cells()
        axes = {name: grid_values(one, self.points[name]) for name, one in self.base.searched.items()}
        for step in self.steps:
            name = step.extension.name
            part, whole = step.part[name], self.base.searched[name]
            count = max(1, round(_length(part) / _spacing(whole, self.points[name])))
            added = [value for value in grid_values(part, count + 1) if value not in axes[name]]
            yield from (cell for cell in self.product(axes | {name: added}) if name in cell)
            axes[name] = [*axes[name], *added]


def check(recipe: Recipe, space: Space) -> None:
    """Refuse to extend a study that cannot be.

    Raises:
        RequestError: which says why.
    """
    if len(recipe.objective) > 1:
        raise RequestError("extend takes one objective: a Pareto front reaches to the edges by its nature")
    if space.settings:
        raise RequestError("extend: this study lists its settings, and has no range to widen")
    if not any(isinstance(one, FloatDistribution | IntDistribution) for one in space.searched.values()):
        raise RequestError("extend: nothing is searched over a range; choices have no edge")
    if recipe.sampler == "cmaes":
        raise RequestError(
            "extend: sampler 'cmaes' cannot go on in a wider range, what it has learnt being a place and a size in the "
            "old one; tpe, random, grid, gp and qmc can"
        )


def stored(attributes: Mapping[str, Any]) -> list[Extension]:
    """What a study with these attributes has decided, in the order of deciding."""
    return [Extension(**fields) for fields in attributes.get(EXTENSIONS, ())]


def widened(space: Space, extensions: Sequence[Extension]) -> Space:
    """The space that a recipe's becomes by extensions."""
    made: list[Step] = []
    searched = dict(space.searched)
    for one in extensions:
        before = _interval(searched[one.name])
        end: End = "lower" if one.low < before.low else "upper"
        ends = (one.low, before.low) if end == "lower" else (before.high, one.high)
        made.append(Step(one, end, searched | {one.name: ranging(before, *ends)}))
        searched[one.name] = ranging(before, one.low, one.high)
    if not made:
        return space
    same = {one.name: getattr(space, one.name) for one in fields(Space) if one.name != "searched"}
    return Widened(**same, searched=searched, base=space, steps=tuple(made))


def steps(space: Space) -> tuple[Step, ...]:
    """How the ranges of a space have been widened."""
    return space.steps if isinstance(space, Widened) else ()


def total(space: Space) -> int:
    """How many trials a study is to have at least, for its extensions' sake."""
    return max((step.extension.ticket + step.extension.trials for step in steps(space)), default=0)


def drawn_from(sampler: str, space: Space, ticket: int) -> tuple[Space, str | None]:
    """What a trial is drawn from: all of the space, or a part that is new and the name of the range that has it."""
    for step in steps(space):
        one = step.extension
        if sampler in _BLIND and one.ticket <= ticket < one.ticket + one.trials:
            return replace(space, searched=step.part), one.name
    return space, None


def spent(sampler: str, space: Space) -> set[tuple[str, End]]:
    """The ends of ranges that are not moved, or no more, though the hyperparameter itself may go further.

    `epochs` is among them: the rungs at which all trials are judged follow from the most epochs.
    """
    ends: tuple[End, End] = ("lower", "upper")
    moved = [(step.extension.name, step.end) for step in steps(space)]
    return {
        (name, end)
        for name in space.searched
        for end in ends
        if sampler == "cmaes" or name == "epochs" or moved.count((name, end)) >= MOST
    }


def found(space: Space, trials: Collection[FrozenTrial]) -> list[Edge]:
    """The edges at which the best of a study's trials lies; none before a trial is complete."""
    finished = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    complete = [trial for trial in finished if trial.state == TrialState.COMPLETE]
    if not complete:
        return []
    best = min(complete, key=lambda trial: (trial.values, trial.number))
    return edges(best.params, [trial.params for trial in finished], space.searched, space.declared)


def warnings(recipe: Recipe, space: Space, trials: Collection[FrozenTrial]) -> list[str]:
    """Of each edge at which the best trial lies what it means, and the remedy; none where no trial is best."""
    if len(recipe.objective) > 1:
        return []
    kept = spent(recipe.sampler, space)
    return [edge.told(extends=(edge.name, edge.end) not in kept) for edge in found(space, trials)]


def decide(
    sampler: str, batch: int, space: Space, trials: Sequence[FrozenTrial], sound: Callable[[Space], object]
) -> Extension | None:
    """How a study goes on whose budget is spent; None where its best trial lies at no edge that may be moved.

    One range at a time. The trials that are added are to those before as the part that is new is to the whole, but a
    cohort at least; a grid's cells are as far apart as before, and the range then ends with the last of them.

    Args:
        batch: trials of a cohort.
        trials: all of the study's, failed ones left out.
        sound: raises RequestError for a space that the study cannot have.
    """
    if sampler == "grid" and len(trials) < space.cell_count():
        return None
    kept = spent(sampler, space)
    base = space.base if isinstance(space, Widened) else space
    earlier = [step.extension for step in steps(space)]
    for edge in found(space, trials):
        if edge.wider is None or (edge.name, edge.end) in kept:
            continue
        before, after = _interval(space.searched[edge.name]), edge.wider
        if sampler == "grid":
            after = _whole_steps(before, after, edge.end, _spacing(base.searched[edge.name], base.points[edge.name]))
        share = _length(after) / _length(before) - 1
        one = Extension(
            len(trials), edge.name, after.low, after.high, max(batch, math.ceil(len(trials) * share - 1e-6))
        )
        made = widened(base, [*earlier, one])
        if sampler == "grid":
            one = replace(one, trials=made.cell_count() - space.cell_count())
        try:
            sound(made)
        except RequestError:
            continue
        return one
    return None


def _interval(distribution: BaseDistribution) -> Interval:
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution


def _length(distribution: BaseDistribution) -> float:
    """Of a range, on the scale it is searched on."""
    one = _interval(distribution)
    return math.log(one.high / one.low) if one.log else float(one.high - one.low)


def _spacing(distribution: BaseDistribution, points: int) -> float:
    """How far apart a grid's values of a range are, on its scale."""
    return _length(distribution) / (points - 1)


def _whole_steps(before: Interval, after: Interval, end: End, spacing: float) -> Interval:
    """The wider range, as far as it takes whole steps of a grid; one step, however small, in any case."""
    added = _length(after) - _length(before)
    count = math.floor(added / spacing + 1e-9)
    if count < 1:
        return after
    bound, sign = (before.low, -1) if end == "lower" else (before.high, 1)
    moved = bound * math.exp(sign * count * spacing) if before.log else bound + sign * count * spacing
    moved = round(moved) if isinstance(before, IntDistribution) else float(f"{moved:.12g}")
    return ranging(before, moved, before.high) if end == "lower" else ranging(before, before.low, moved)
