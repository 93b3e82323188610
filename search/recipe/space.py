"""The `Space` of a study: which hyperparameters are fixed, which are searched over what, and what a trial uses."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from search.errors import RequestError, unknown
from search.recipe import Recipe, compose
from search.recipe.branches import Branches
from search.recipe.declared import declare
from search.recipe.distributions import distribution, grid_values, ranges, suggested
from search.recipe.known import Known, known_trials
from search.recipe.settings import ExplicitSettings, value_of
from search.recipe.switches import Switches, without_off
from search.show import html, text
from search.show.sheet import Sheet
from search.technique import Numeric, Structural, Technique, Value
from search.train.program import SCALE


@dataclass(frozen=True)
class Space(Branches):
    """The hyperparameters of a study and the distributions from which a trial's values are drawn.

    Attributes:
        points: the number of values that a grid takes from each range.
        owners: the name of the technique that declares a hyperparameter, for those that a technique declares.
        settings: the cells of the grid if the study lists its settings.
        first: the settings with which a search begins.
        moved: the searched ranges that have become wider than the recipe's, after trials were drawn from those.
    """

    points: Mapping[str, int]
    owners: Mapping[str, str]
    settings: tuple[Mapping[str, Value], ...] = ()
    first: tuple[Known, ...] = ()
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
            if name in recipe.one_of and name not in declared:
                raise RequestError(f"{name} is a group of one_of, from which each trial draws: change its techniques")
            if name not in declared:
                raise unknown("hyperparameter", name, declared)
        for name, technique in derived.items():
            if any(name in table for table in (recipe.set, recipe.space, *(one.set for one in recipe.settings))):
                parents = " and ".join(technique.hyperparameters)
                raise RequestError(f"{name} follows from {parents} (technique {technique.name!r}): give those instead")
        given = compose.fixed_values(techniques) | dict(recipe.set)
        searching = ranges(recipe, techniques)
        switches = Switches.resolve(recipe, techniques, declared, searching)
        fixed: Mapping[str, Value]
        searched: Mapping[str, BaseDistribution]
        points: Mapping[str, int]
        if recipe.settings and not recipe.settings_first:
            explicit = ExplicitSettings.resolve(recipe, declared, given)
            fixed, searched, points, cells = explicit.fixed, explicit.searched, {}, explicit.cells
        else:
            drawn: dict[str, BaseDistribution] = {name: switches.distribution(name) for name in switches.names}
            for name, one in searching.items():
                drawn[name] = distribution(name, declared[name], without_off(name, declared[name], one))
            searched = {name: drawn[name] for name in switches.order(declared) if name in drawn}
            points = {name: one.points or recipe.grid_points for name, one in searching.items()}
            fixed = {name: value_of(name, declared[name], given) for name in declared if name not in searched}
            cells = ()
        owners = {name: technique.name for technique in techniques for name in technique.hyperparameters}
        functions = {name: (tuple(one.hyperparameters), one.derive[name]) for name, one in derived.items()}
        space = cls(declared, fixed, searched, points, owners, cells, derived=functions, switches=switches)
        # A technique that also searches the parent of a hyperparameter has branches. A study may close some of them.
        branches = {name for one in techniques for name in one.space if one.space.keys() & declared[name].when.keys()}
        optional = owners.keys() | branches
        for name in (*given, *(name for name in searching if name in recipe.space or name not in optional)):
            space._validate_reachable(name)
        return replace(space, first=known_trials(recipe, space, given)) if recipe.settings_first else space

    def _repr_html_(self) -> str:
        """Every group, and every hyperparameter that can exist: its value, or what it is searched over."""

        def closed(parent: str, allowed: Collection[Value]) -> bool:
            return parent in self.fixed and self.fixed[parent] not in allowed

        rows = [(group, f"one of {', '.join(names)}", "", "") for group, names in self.switches.groups.items()]
        for name, declared in self.declared.items():
            if any(closed(*condition) for condition in declared.when.items()):
                continue
            value = f"searched: {self.text(name)}" if name in self.searched else text.number(self.fixed.get(name))
            conditions = [f"{parent}={' or '.join(map(str, some))}" for parent, some in declared.when.items()]
            if name in self.switches.members:
                conditions.append("=".join(self.switches.members[name]))
            rows.append((name, value, self.owners.get(name, ""), ", ".join(conditions)))
        headings = ("hyperparameter", "value", "technique", "exists where")
        return html.block(html.table(Sheet(headings, rows, headings)))

    def _validate_reachable(self, name: str) -> None:
        """Refuse a hyperparameter that has a value or a range but exists in no trial."""
        for parent, allowed in self.declared[name].when.items():
            if parent in self.fixed and self.fixed[parent] not in allowed:
                is_now = self.fixed[parent]
                rule = " or ".join(map(str, allowed))
                raise RequestError(f"{name} exists only where {parent} is {rule}; here {parent} is {is_now}")

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """Return all values of a trial: the fixed ones and those that its sampler chooses."""
        return self.values_by(lambda name: suggested(trial, name, self.searched[name]))

    def complete(self, params: Mapping[str, Value]) -> dict[str, Value] | None:
        """Return all values of a trial from its sampled ones, or None if some of those are missing."""
        try:
            return self.values_by(params.__getitem__)
        except KeyError:
            return None

    def possible(self, name: str) -> list[Value]:
        """Return the values that a parameter may take: its one value, its choices, or its range's two ends.

        The neutral value comes first if it may be off.
        """
        if name in self.derived:
            own, function = self.derived[name]
            corners = itertools.product(*(self.possible(parent) for parent in own))
            return [function(dict(zip(own, corner, strict=True))) for corner in corners]
        possible = self._drawn(name)
        neutral = self.declared[name].neutral if name in self.declared else None
        may_be_off = neutral is not None and any(self.switches.deciding(name)) and neutral not in possible
        return [neutral, *possible] if may_be_off and neutral is not None else possible

    def _drawn(self, name: str) -> list[Value]:
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
        neutral. With groups, there is one such trial for each way to choose their techniques.
        """
        if self.settings:
            listed = [self.complete(cell) for cell in self.settings]
            return [values for values in listed if values is not None]

        def most(given: Mapping[str, Value], name: str) -> Value:
            if name in given:
                return given[name]
            possible = self.possible(name)
            neutral = self.declared[name].neutral if name in self.declared else None
            return next((value for value in reversed(possible) if value != neutral), possible[-1])

        ways = itertools.product(*self.switches.groups.values())
        chosen = [{**given, **dict(zip(self.switches.groups, way, strict=True))} for way in ways]
        return [self.values_by(partial(most, one)) for one in chosen]

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
            yield from self.product(self.axes)

    @property
    def axes(self) -> dict[str, list[Value]]:
        """The values of each parameter of a grid."""
        return {name: grid_values(one, self.points.get(name, 0)) for name, one in self.searched.items()}

    def cell_count(self) -> int:
        """Return the number of cells of the grid, at most 1,000,001."""
        return sum(1 for _ in itertools.islice(self.cells(), 1_000_001))
