"""A study's hyperparameters, resolved: what is fixed, what is searched and over what, and when each exists.

Order decides nothing but reading: a conditional hyperparameter comes after those its existence depends on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from search.errors import RequestError, unknown
from search.recipe import Recipe, compose
from search.recipe.declared import declare
from search.recipe.distributions import as_text, default_range, distribution, grid_values, suggested
from search.recipe.schema import Range
from search.recipe.settings import Rows, value_of
from search.show import html, text
from search.show.sheet import Sheet
from search.technique import Hyperparameter, Numeric, Structural, Technique, Value


@dataclass(frozen=True)
class Space:
    """What a trial's values are drawn from.

    Attributes:
        declared: every hyperparameter there is, by name.
        fixed: those with one value for the whole study.
        searched: those that a sampler chooses, with Optuna's distribution.
        points: how many values of each range a grid takes.
        owners: the technique of each hyperparameter that a technique declares.
        rows: the cells of the grid, where the study lists its settings.
        derived: of each value that follows from others: their names, and the function of all values.
    """

    declared: Mapping[str, Hyperparameter]
    fixed: Mapping[str, Value]
    searched: Mapping[str, BaseDistribution]
    points: Mapping[str, int]
    owners: Mapping[str, str]
    rows: tuple[Mapping[str, Value], ...] = ()
    derived: Mapping[str, tuple[tuple[str, ...], Callable[[Mapping[str, Value]], Value]]] = field(default_factory=dict)

    @classmethod
    def resolve(cls, recipe: Recipe, techniques: Sequence[Technique]) -> Space:
        """The space of a recipe.

        Raises:
            RequestError: a name that no technique or optimiser of the study has, a value or range that is not
                allowed, a hyperparameter given a value where it cannot exist.
        """
        compose.confirm(techniques)
        declared = declare(techniques)
        derived = {name: technique for technique in techniques for name in technique.derive}
        for name in (*recipe.set, *recipe.space):
            if name not in declared:
                raise unknown("hyperparameter", name, declared)
        for name, technique in derived.items():
            if any(name in table for table in (recipe.set, recipe.space, *(row.set for row in recipe.rows))):
                parents = " and ".join(technique.hyperparameters)
                raise RequestError(f"{name} follows from {parents} (technique {technique.name!r}): give those instead")
        given = compose.settings(techniques) | dict(recipe.set)
        ranges = _ranges(recipe, techniques)
        fixed: Mapping[str, Value]
        searched: Mapping[str, BaseDistribution]
        points: Mapping[str, int]
        if recipe.rows:
            listed = Rows.resolve(recipe, declared, given)
            fixed, searched, points, cells = listed.fixed, listed.searched, {}, listed.cells
        else:
            wanted = {name: ranges[name] for name in declared if name in ranges}
            searched = {name: distribution(name, declared[name], one) for name, one in wanted.items()}
            points = {name: one.points or recipe.grid_points for name, one in wanted.items()}
            fixed = {name: value_of(name, declared[name], given) for name in declared if name not in searched}
            cells = ()
        own = {name: technique.name for technique in techniques for name in technique.hyperparameters}
        derive = {name: (tuple(one.hyperparameters), one.derive[name]) for name, one in derived.items()}
        space = cls(declared, fixed, searched, points, own, cells, derive)
        # A technique that searches a parent too has branches, of which a study may close some.
        branches = {name for one in techniques for name in one.space if one.space.keys() & declared[name].when.keys()}
        for name in (*given, *(name for name in ranges if name in recipe.space or name not in own.keys() | branches)):
            space._check_reachable(name)
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

    def _check_reachable(self, name: str) -> None:
        """Refuse a hyperparameter that was given a value or a range where no trial can have it."""
        for parent, allowed in self.declared[name].when.items():
            if parent in self.fixed and self.fixed[parent] not in allowed:
                is_now = self.fixed[parent]
                rule = " or ".join(map(str, allowed))
                raise RequestError(f"{name} exists only where {parent} is {rule}; here {parent} is {is_now}")

    @property
    def conditional(self) -> bool:
        """Whether some searched hyperparameter exists only for some values of another searched one."""
        return any(self._depends(name) for name in self.searched)

    def _depends(self, name: str) -> bool:
        """Whether a hyperparameter's existence depends on a searched one, be it through others."""
        return any(parent in self.searched or self._depends(parent) for parent in self.declared[name].when)

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Whether a hyperparameter exists, given the values of those before it."""
        return all(values.get(parent) in allowed for parent, allowed in self.declared[name].when.items())

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """A trial's values, all of them: fixed ones and those its sampler chooses."""
        return self._values(lambda name: suggested(trial, name, self.searched[name]))

    def complete(self, params: Mapping[str, Value]) -> dict[str, Value] | None:
        """All values of a trial with these sampled ones, or None where it has not been asked to the end."""
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
            values[name] = self.declared[name].check(name, function(values))
        return values

    def possible(self, name: str) -> list[Value]:
        """The values a hyperparameter may take: its one value, its choices, or the ends of its range."""
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

    def longest(self) -> int:
        """The most epochs that a trial trains."""
        return max(int(epochs) for epochs in self.possible("epochs"))

    def numeric(self, values: Mapping[str, Value]) -> dict[str, float]:
        """The numeric hyperparameters that training uses.

        One that is fixed at its neutral value is left out, and its work with it; of a technique all are or none.
        """
        numeric = [name for name in values if isinstance(self.declared[name], Numeric)]
        at_work = {self.owners.get(name) for name in numeric if not self._neutral(name)}
        for name, value in values.items():
            declaration = self.declared[name]
            if isinstance(declaration, Structural) and declaration.neutral not in (None, value):
                at_work.add(self.owners.get(name))
        return {
            name: float(values[name])
            for name in numeric
            if not self._neutral(name) or (name in self.owners and self.owners[name] in at_work)
        }

    def _neutral(self, name: str) -> bool:
        declaration = self.declared[name]
        neutral = declaration.neutral if isinstance(declaration, Numeric) else None
        return neutral is not None and self.fixed.get(name) == neutral

    def structure(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The structural hyperparameters of a trial: its signature."""
        return {name: value for name, value in values.items() if isinstance(self.declared[name], Structural)}

    def cells(self) -> Iterator[dict[str, Value]]:
        """Every cell of the grid, as sampled values: the rows, or a union of branch products."""
        if self.rows:
            yield from map(dict, self.rows)
        else:
            yield from self.product({name: grid_values(one, self.points[name]) for name, one in self.searched.items()})

    def product(self, axes: Mapping[str, Sequence[Value]]) -> Iterator[dict[str, Value]]:
        """Every combination of values of what is searched that can exist."""
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
        """How many cells the grid has."""
        return sum(1 for _ in itertools.islice(self.cells(), 1_000_001))


def _ranges(recipe: Recipe, techniques: Sequence[Technique]) -> dict[str, Range]:
    """What is searched: as the recipe says, else as its techniques do, unless the recipe fixes it."""
    found: dict[str, Range] = {}
    for technique in techniques:
        for name, declaration in technique.hyperparameters.items():
            if (wanted := default_range(name, declaration)) is not None:
                found[name] = wanted
        found |= {name: Range.parse(one, f"technique {technique.name!r}") for name, one in technique.space.items()}
    return {name: wanted for name, wanted in found.items() if name not in recipe.set} | dict(recipe.space)
