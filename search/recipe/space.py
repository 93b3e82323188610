"""The `Space` of a study: which hyperparameters are fixed, which are searched over what, and when each exists.

A conditional hyperparameter comes after those that its existence depends on. The order has no other meaning.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from search.errors import RequestError, unknown
from search.recipe import Recipe, compose
from search.recipe.declared import declare
from search.recipe.distributions import as_text, default_range, distribution, grid_values, suggested
from search.recipe.schema import Range
from search.recipe.settings import ExplicitSettings, value_of
from search.show import html, text
from search.show.sheet import Sheet
from search.technique import Hyperparameter, Numeric, Structural, Technique, Value
from search.train.program import SCALE


@dataclass(frozen=True)
class Space:
    """The hyperparameters of a study and the distributions from which a trial's values are drawn.

    Attributes:
        declared: the declarations of all hyperparameters, by name.
        fixed: the values of the hyperparameters that are the same in every trial.
        searched: Optuna's distributions of the hyperparameters that the sampler chooses.
        points: the number of values that a grid takes from each range.
        owners: the name of the technique that declares a hyperparameter, for those that a technique declares.
        settings: the cells of the grid if the study lists its settings.
        derived: for each hyperparameter that is computed from others, the names of those and the function, which gets
            all values.
        moved: the searched ranges that have become wider than the recipe's, after trials were drawn from those.
    """

    declared: Mapping[str, Hyperparameter]
    fixed: Mapping[str, Value]
    searched: Mapping[str, BaseDistribution]
    points: Mapping[str, int]
    owners: Mapping[str, str]
    settings: tuple[Mapping[str, Value], ...] = ()
    derived: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Value]], Value]]] = field(default_factory=dict)
    moved: Mapping[str, BaseDistribution] = field(default_factory=dict)

    @classmethod
    def resolve(cls, recipe: Recipe, techniques: Sequence[Technique]) -> Space:
        """Return the space of a recipe with these techniques.

        Raises:
            RequestError: a hyperparameter is unknown, a value or range is not allowed, a hyperparameter is given a
                value where it cannot exist, or two techniques cannot be in one study.
        """
        compose.validate_techniques(techniques)
        tables: list[Mapping[str, object]] = [recipe.set, recipe.space, *(one.set for one in recipe.settings)]
        tables += [table for one in techniques for table in (one.set, one.space)]
        declared = declare(techniques, recipe.data.scale if any(SCALE in table for table in tables) else None)
        derived = {name: technique for technique in techniques for name in technique.derive}
        for name in (*recipe.set, *recipe.space):
            if name not in declared:
                raise unknown("hyperparameter", name, declared)
        for name, technique in derived.items():
            if any(name in table for table in (recipe.set, recipe.space, *(one.set for one in recipe.settings))):
                parents = " and ".join(technique.hyperparameters)
                raise RequestError(f"{name} follows from {parents} (technique {technique.name!r}): give those instead")
        given = compose.fixed_values(techniques) | dict(recipe.set)
        ranges = _ranges(recipe, techniques)
        fixed: Mapping[str, Value]
        searched: Mapping[str, BaseDistribution]
        points: Mapping[str, int]
        if recipe.settings:
            explicit = ExplicitSettings.resolve(recipe, declared, given)
            fixed, searched, points, cells = explicit.fixed, explicit.searched, {}, explicit.cells
        else:
            in_order = {name: ranges[name] for name in declared if name in ranges}
            searched = {name: distribution(name, declared[name], one) for name, one in in_order.items()}
            points = {name: one.points or recipe.grid_points for name, one in in_order.items()}
            fixed = {name: value_of(name, declared[name], given) for name in declared if name not in searched}
            cells = ()
        owners = {name: technique.name for technique in techniques for name in technique.hyperparameters}
        functions = {name: (tuple(one.hyperparameters), one.derive[name]) for name, one in derived.items()}
        space = cls(declared, fixed, searched, points, owners, cells, functions)
        # A technique that also searches the parent of a hyperparameter has branches. A study may close some of them.
        branches = {name for one in techniques for name in one.space if one.space.keys() & declared[name].when.keys()}
        optional = owners.keys() | branches
        for name in (*given, *(name for name in ranges if name in recipe.space or name not in optional)):
            space._validate_reachable(name)
        return space

    def _repr_html_(self) -> str:
        """Every hyperparameter that can exist: its value, or what it is searched over."""

        def closed(parent: str, allowed: Collection[Value]) -> bool:
            return parent in self.fixed and self.fixed[parent] not in allowed

        rows = []
        for name, declared in self.declared.items():
            if any(closed(*condition) for condition in declared.when.items()):
                continue
            over = self.searched.get(name)
            value = text.number(self.fixed.get(name)) if over is None else f"searched: {as_text(over)}"
            where = ", ".join(f"{parent}={' or '.join(map(str, some))}" for parent, some in declared.when.items())
            rows.append((name, value, self.owners.get(name, ""), where))
        headings = ("hyperparameter", "value", "technique", "exists where")
        return html.block(html.table(Sheet(headings, rows, headings)))

    def _validate_reachable(self, name: str) -> None:
        """Refuse a hyperparameter that has a value or a range but exists in no trial."""
        for parent, allowed in self.declared[name].when.items():
            if parent in self.fixed and self.fixed[parent] not in allowed:
                is_now = self.fixed[parent]
                rule = " or ".join(map(str, allowed))
                raise RequestError(f"{name} exists only where {parent} is {rule}; here {parent} is {is_now}")

    @property
    def conditional(self) -> bool:
        """Whether some searched hyperparameter exists only for some values of another one."""
        return any(self._depends(name) for name in self.searched)

    def _depends(self, name: str) -> bool:
        """Return whether a hyperparameter's existence depends, directly or through others, on a searched one."""
        return any(parent in self.searched or self._depends(parent) for parent in self.declared[name].when)

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Return whether a hyperparameter exists, given the values of those before it."""
        return all(values.get(parent) in allowed for parent, allowed in self.declared[name].when.items())

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Return all values of a trial: the fixed ones and those that its sampler chooses."""
        return self._values(lambda name: suggested(trial, name, self.searched[name]))

    def complete(self, params: Mapping[str, Value]) -> dict[str, Value] | None:
        """Return all values of a trial from its sampled ones, or None if some of those are missing."""
        try:
            return self._values(params.__getitem__)
        except KeyError:
            return None

    def _values(self, chosen: Callable[[str], Value]) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for name in self.declared:
            if self.exists(name, values):
                values[name] = self.fixed[name] if name in self.fixed else chosen(name)
        return self._derive(values)

    def _derive(self, values: dict[str, Value]) -> dict[str, Value]:
        for name, (_, function) in self.derived.items():
            values[name] = self.declared[name].validate(name, function(values))
        return values

    def possible(self, name: str) -> list[Value]:
        """Return the values that a hyperparameter may take: its one value, its choices, or its range's two ends."""
        if name in self.derived:
            own, function = self.derived[name]
            corners = itertools.product(*(self.possible(parent) for parent in own))
            return [function(dict(zip(own, corner, strict=True))) for corner in corners]
        if name in self.fixed:
            return [self.fixed[name]]
        searched = self.searched[name]
        if isinstance(searched, CategoricalDistribution):
            return [choice for choice in searched.choices if choice is not None]
        assert isinstance(searched, FloatDistribution | IntDistribution)
        return [searched.low, searched.high]

    def demanding(self, given: Mapping[str, Value] = MappingProxyType({})) -> list[dict[str, Value]]:
        """Return the values of trials that use as much as the study allows: every setting, or one trial with it all.

        A hyperparameter of that trial has the value in `given`, or its largest value or last choice that is not
        neutral.
        """
        if self.settings:
            listed = [self.complete(cell) for cell in self.settings]
            return [values for values in listed if values is not None]

        def most(name: str) -> Value:
            possible, neutral = self.possible(name), self.declared[name].neutral
            return next((value for value in reversed(possible) if value != neutral), possible[-1])

        return [self._values(lambda name: given[name] if name in given else most(name))]

    @property
    def scales(self) -> list[str]:
        """The scalings of the inputs among which trials choose; none if all have that of the recipe's data."""
        if SCALE not in self.declared or SCALE in self.owners:
            return []
        return list(map(str, self.possible(SCALE)))

    def longest(self) -> int:
        """Return the largest number of epochs that a trial may train."""
        return max(int(epochs) for epochs in self.possible("epochs"))

    def numeric(self, values: Mapping[str, Value]) -> dict[str, float]:
        """Return the numeric hyperparameters that a trial's training uses, out of its values.

        A hyperparameter at its neutral value is left out, and its work with it. The hyperparameters of a technique are
        left out all together or not at all: they stay if one of the technique's hyperparameters, numeric or
        structural, is not at its neutral value. One that has no neutral value does not decide, unless none has one.
        """
        in_use = self._in_use(values)

        def stays(name: str, declared: Numeric) -> bool:
            return self.owners[name] in in_use if name in self.owners else values[name] != declared.neutral

        declared = ((name, self.declared[name]) for name in values)
        return {name: float(values[name]) for name, one in declared if isinstance(one, Numeric) and stays(name, one)}

    def _in_use(self, values: Mapping[str, Value]) -> set[str]:
        """Return the names of the techniques that declare hyperparameters and do something to a trial."""
        neutral = {name: self.declared[name].neutral for name in self.owners}
        switches = {name: value for name, value in neutral.items() if value is not None}
        switchable = {self.owners[name] for name in switches}
        on = {self.owners[name] for name, value in switches.items() if values.get(name, value) != value}
        return on | (set(self.owners.values()) - switchable)

    def structure(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return the structural hyperparameters out of a trial's values."""
        return {name: value for name, value in values.items() if isinstance(self.declared[name], Structural)}

    def cells(self) -> Iterator[dict[str, Value]]:
        """Yield the searched values of every cell of the grid: the explicit settings, or a union of branch products."""
        if self.settings:
            yield from map(dict, self.settings)
        else:
            yield from self.product({name: grid_values(one, self.points[name]) for name, one in self.searched.items()})

    def product(self, axes: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
        """Yield every combination of values of the searched hyperparameters that can exist together."""
        return self._product(list(self.declared), axes, {})

    def _product(
        self, names: Sequence[str], axes: Mapping[str, Sequence[Value]], values: dict[str, Value]
    ) -> Iterator[dict[str, Value]]:
        for at, name in enumerate(names):
            if name in self.fixed and self.exists(name, values):
                values = values | {name: self.fixed[name]}
            elif name in self.searched and self.exists(name, values):
                for value in axes[name]:
                    yield from self._product(names[at + 1 :], axes, values | {name: value})
                return
        yield {name: value for name, value in values.items() if name in self.searched}

    def cell_count(self) -> int:
        """Return the number of cells of the grid, at most 1,000,001."""
        return sum(1 for _ in itertools.islice(self.cells(), 1_000_001))


def _ranges(recipe: Recipe, techniques: Sequence[Technique]) -> dict[str, Range]:
    """Return the range of each searched hyperparameter: the recipe's, or else a technique's if it is not fixed."""
    ranges: dict[str, Range] = {}
    for technique in techniques:
        for name, declaration in technique.hyperparameters.items():
            if (default := default_range(name, declaration)) is not None:
                ranges[name] = default
        ranges |= {name: Range.parse(one, f"technique {technique.name!r}") for name, one in technique.space.items()}
    return {name: searched for name, searched in ranges.items() if name not in recipe.set} | dict(recipe.space)
