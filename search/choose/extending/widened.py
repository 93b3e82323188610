"""The space of a study whose ranges have been widened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.choose.edges import End, Interval, ranging
from search.recipe.distributions import grid_values
from search.recipe.space import Space
from search.record.extensions import Extension
from search.technique import Value


@dataclass(frozen=True)
class Step:
    """An extension and the ranges around it.

    Attributes:
        extension: the extension.
        end: the end that was moved.
        part: what was searched from then on: the new part of the widened range, and the others as they were.
    """

    extension: Extension
    end: End
    part: Mapping[str, BaseDistribution]


@dataclass(frozen=True, kw_only=True)
class Widened(Space):
    """A space with ranges that have been widened.

    Attributes:
        base: the space before.
        steps: the extensions, in the order in which they were made.
    """

    base: Space
    steps: tuple[Step, ...]

    def cells(self) -> Iterator[dict[str, Value]]:
        """Yield the cells of the base, then those that each step adds in its new part, as far apart as the others."""
        yield from self.base.cells()
        axes = self.base.axes
        for step in self.steps:
            name = step.extension.name
            part, whole = step.part[name], self.base.searched[name]
            count = max(1, round(length(part) / spacing(whole, self.points[name])))
            added = [value for value in grid_values(part, count + 1) if value not in axes[name]]
            yield from (cell for cell in self.product(axes | {name: added}) if name in cell)
            axes[name] = [*axes[name], *added]


def widen(base: Space, extensions: Sequence[Extension]) -> Space:
    """Return a space with its ranges widened; the space itself if there is no extension."""
    if not extensions:
        return base
    steps: list[Step] = []
    searched = dict(base.searched)
    for extension in extensions:
        name, low, high = extension.name, extension.low, extension.high
        before = interval(searched[name])
        end: End = "lower" if low < before.low else "upper"
        new = (low, before.low) if end == "lower" else (before.high, high)
        steps.append(Step(extension, end, searched | {name: ranging(before, *new)}))
        searched[name] = ranging(before, low, high)
    same = {field.name: getattr(base, field.name) for field in fields(Space)}
    moved = {extension.name: searched[extension.name] for extension in extensions}
    return Widened(**same | {"searched": searched, "moved": moved}, base=base, steps=tuple(steps))


def interval(distribution: BaseDistribution) -> Interval:
    """Return a distribution that is known to be a range, with its type narrowed."""
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution


def length(distribution: BaseDistribution) -> float:
    """Return the length of a range on the scale on which it is searched."""
    low, high = interval(distribution).low, interval(distribution).high
    return math.log(high / low) if interval(distribution).log else float(high - low)


def spacing(distribution: BaseDistribution, points: int) -> float:
    """Return how far apart a grid's values of a range are on its scale."""
    return length(distribution) / (points - 1)


def whole_steps(before: Interval, after: Interval, end: End, spacing: float) -> Interval:
    """Return the wider range, shortened to whole steps of a grid unless it is longer by less than one step."""
    added = length(after) - length(before)
    count = math.floor(added / spacing + 1e-9)
    if count < 1:
        return after
    bound, sign = (before.low, -1) if end == "lower" else (before.high, 1)
    moved = bound * math.exp(sign * count * spacing) if before.log else bound + sign * count * spacing
    moved = round(moved) if isinstance(before, IntDistribution) else float(f"{moved:.12g}")
    return ranging(before, moved, before.high) if end == "lower" else ranging(before, before.low, moved)
