"""A study's hyperparameters, resolved: what is fixed, what is searched and over what, and when each exists.

Order decides nothing but reading: a conditional hyperparameter comes after those its existence depends on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from search.errors import RequestError, clip, unknown
from search.recipe import Range, Recipe
from search.technique import Hyperparameter, Numeric, Structural, Technique, Value, owners
from search.train.network import ACTIVATIONS
from search.train.optimisers import OPTIMISERS


def parse_hidden(value: object) -> str:
    """Hidden widths in their standard form, ``"128x128"``; "0" is a linear model."""
    parts = [part.strip() for part in str(value).replace(",", "x").split("x")]
    widths = [int(part) if part.isascii() and part.isdecimal() and len(part) < 6 else 0 for part in parts]
    if parts != ["0"] and (min(widths) < 1 or max(widths) > 65536 or len(widths) > 64):
        raise ValueError("takes widths joined by 'x', such as 128x128, each from 1 to 65536; 0 for none")
    return "x".join(map(str, widths))


CORE: Mapping[str, Hyperparameter] = {
    "optimizer": Structural(default="adam", choices=tuple(OPTIMISERS)),
    "lr": Numeric(default=1e-3, low=1e-4, high=1e-1, log=True, above=0.0),
    "batch_size": Structural(default=128),
    "epochs": Structural(default=100),
    "hidden": Structural(default="128x128", parse=parse_hidden),
    "activation": Structural(default="leaky_relu", choices=tuple(ACTIVATIONS)),
}


@dataclass(frozen=True)
class Space:
    """What a trial's values are drawn from.

    Attributes:
        declared: every hyperparameter there is, by name.
        fixed: those with one value for the whole study.
        searched: those that a sampler chooses, with Optuna's distribution.
        points: how many values of each range a grid takes.
        owners: the technique of each hyperparameter that a technique declares.
    """

    declared: Mapping[str, Hyperparameter]
    fixed: Mapping[str, Value]
    searched: Mapping[str, BaseDistribution]
    points: Mapping[str, int]
    owners: Mapping[str, str]

    @classmethod
    def resolve(cls, recipe: Recipe, techniques: Sequence[Technique]) -> Space:
        """The space of a recipe.

        Raises:
            RequestError: a name that no technique or optimiser of the study has, a value or range that is not
                allowed, a hyperparameter given a value where it cannot exist.
        """
        techniques_own = owners(techniques)
        declared = _declare(techniques)
        for name in (*recipe.set, *recipe.space):
            if name not in declared:
                raise unknown("hyperparameter", name, declared)
        fixed: dict[str, Value] = {}
        searched: dict[str, BaseDistribution] = {}
        points: dict[str, int] = {}
        for name, declaration in declared.items():
            if name in recipe.space:
                wanted: Range | None = recipe.space[name]
            elif name in recipe.set:
                wanted = None
            else:
                wanted = _default_range(name, declaration) if name in techniques_own else None
            if wanted is None:
                value = recipe.set.get(name, declaration.fixed)
                if value is None:
                    raise RequestError(f"{name} has no default: give it a value with --set or a range with --space")
                fixed[name] = declaration.check(name, value)
            else:
                searched[name] = _distribution(name, declaration, wanted)
                points[name] = wanted.points or recipe.grid_points
        space = cls(declared, fixed, searched, points, techniques_own)
        for name in (*recipe.set, *recipe.space):
            space._check_reachable(name)
        return space

    def _check_reachable(self, name: str) -> None:
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
        return self._values(lambda name: _suggested(trial, name, self.searched[name]))

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
        return values

    def possible(self, name: str) -> list[Value]:
        """The values a hyperparameter may take: its one value, its choices, or the ends of its range."""
        if name in self.fixed:
            return [self.fixed[name]]
        distribution = self.searched[name]
        if isinstance(distribution, CategoricalDistribution):
            return [choice for choice in distribution.choices if choice is not None]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        return [distribution.low, distribution.high]

    def numeric(self, values: Mapping[str, Value]) -> dict[str, float]:
        """The numeric hyperparameters that training uses.

        One that is fixed at its neutral value is left out, and its work with it; of a technique all are or none.
        """
        numeric = [name for name in values if isinstance(self.declared[name], Numeric)]
        at_work = {self.owners.get(name) for name in numeric if not self._neutral(name)}
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
        """Every cell of the grid, as sampled values: a union of branch products where the space is conditional."""
        yield from self._cells(list(self.declared), {})

    def _cells(self, names: Sequence[str], values: dict[str, Value]) -> Iterator[dict[str, Value]]:
        for at, name in enumerate(names):
            if name in self.fixed and self.exists(name, values):
                values = values | {name: self.fixed[name]}
            elif name in self.searched and self.exists(name, values):
                for value in grid_values(self.searched[name], self.points[name]):
                    yield from self._cells(names[at + 1 :], values | {name: value})
                return
        yield {name: value for name, value in values.items() if name in self.searched}

    def cell_count(self) -> int:
        """How many cells the grid has."""
        return sum(1 for _ in itertools.islice(self.cells(), 1_000_001))


def _declare(techniques: Sequence[Technique]) -> dict[str, Hyperparameter]:
    """Core, optimisers' and techniques' hyperparameters; an optimiser's exists where that optimiser is chosen."""
    declared: dict[str, Hyperparameter] = dict(CORE)
    choosers: dict[str, list[Value]] = {}
    specific: dict[str, Hyperparameter] = {}
    for optimiser, made in OPTIMISERS.items():
        for name, declaration in made.hyperparameters.items():
            choosers.setdefault(name, []).append(optimiser)
            specific[name] = declaration
    for name, declaration in specific.items():
        declared[name] = _only_when(declaration, {"optimizer": tuple(choosers[name])})
    for technique in techniques:
        for name, declaration in technique.hyperparameters.items():
            if name in declared:
                raise RequestError(f"technique {technique.name!r} declares {name!r}, which every study has already")
            if not name.isidentifier():
                raise RequestError(f"technique {technique.name!r} declares {name!r}, which is not a name like 'l2'")
            for parent in declaration.when:
                # Declared before it: values are drawn in this order.
                if parent not in declared:
                    raise unknown(f"hyperparameter in `when` of {name}", parent, declared)
            declared[name] = declaration
    return declared


def _only_when(declaration: Hyperparameter, when: Mapping[str, tuple[Value, ...]]) -> Hyperparameter:
    return replace(declaration, when=when)


def _default_range(name: str, declaration: Hyperparameter) -> Range | None:
    """What a technique's hyperparameter is searched over if the recipe does not say."""
    if isinstance(declaration, Structural):
        return Range(choices=declaration.choices) if declaration.searched else None
    if declaration.low is None or declaration.high is None:
        return None
    return Range.parse({"low": declaration.low, "high": declaration.high, "log": declaration.log}, f"range of {name}")


def _distribution(name: str, declaration: Hyperparameter, wanted: Range) -> BaseDistribution:
    if wanted.choices:
        choices = tuple(declaration.check(name, choice) for choice in wanted.choices)
        if len(set(choices)) < len(choices):
            raise RequestError(f"{name} has a choice twice: {clip(', '.join(map(str, choices)))}")
        return CategoricalDistribution(choices)
    assert wanted.low is not None
    assert wanted.high is not None
    if isinstance(declaration, Numeric):
        low, high = declaration.check(name, wanted.low), declaration.check(name, wanted.high)
        return FloatDistribution(low, high, log=wanted.log)
    if declaration.choices or declaration.parse is not None:
        raise RequestError(f"{name} takes choices, such as --space {name}=A,B; got a range")
    # From 2^53 on a float is no longer exact to the unit.
    if wanted.low != int(wanted.low) or wanted.high != int(wanted.high) or wanted.high > 2**53:
        raise RequestError(f"{name} takes whole numbers up to 2^53, got the range {wanted.low:g}:{wanted.high:g}")
    low_int, high_int = declaration.check(name, int(wanted.low)), declaration.check(name, int(wanted.high))
    return IntDistribution(int(low_int), int(high_int), log=wanted.log)


def _suggested(trial: Trial, name: str, distribution: BaseDistribution) -> Value:
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    assert isinstance(distribution, CategoricalDistribution)
    chosen = trial.suggest_categorical(name, distribution.choices)
    assert chosen is not None
    return chosen


def grid_values(distribution: BaseDistribution, points: int) -> list[Value]:
    """The values of one axis: every choice, or `points` evenly spaced ones (geometrically on a log scale)."""
    if isinstance(distribution, CategoricalDistribution):
        return [choice for choice in distribution.choices if choice is not None]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = distribution.low, distribution.high
    spaced = np.geomspace(low, high, points) if distribution.log else np.linspace(low, high, points)
    if isinstance(distribution, IntDistribution):
        return sorted({round(value) for value in spaced.tolist()})
    # The end points exactly: rounding may carry them over the edge of the distribution.
    return [low, *(float(f"{value:.12g}") for value in spaced[1:-1].tolist()), high]
