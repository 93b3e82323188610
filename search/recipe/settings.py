"""A study that lists its settings: its rows, checked and completed, as what is fixed, what varies and which cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optuna.distributions import CategoricalDistribution

from search.errors import RequestError, clip, unknown
from search.recipe import Recipe
from search.technique import Hyperparameter, Value


@dataclass(frozen=True)
class Rows:
    """The settings of a study that lists them.

    Attributes:
        fixed: the hyperparameters that no row sets.
        searched: those that some row sets; the choices are the values over all rows, in the order they appear.
        cells: each row's values of those searched, where they exist, in the order written.
    """

    fixed: Mapping[str, Value]
    searched: Mapping[str, CategoricalDistribution]
    cells: tuple[Mapping[str, Value], ...]

    @classmethod
    def resolve(cls, recipe: Recipe, declared: Mapping[str, Hyperparameter], given: Mapping[str, Value]) -> Rows:
        """The settings of a recipe that has rows; `given` is what recipe and techniques fix.

        Raises:
            RequestError: a row sets what no technique or optimiser has, what cannot exist in it or what is not
                allowed, or it is the same setting as another.
        """
        varying = {name for row in recipe.rows for name in row.set}
        fixed = {name: value_of(name, declared[name], given) for name in declared if name not in varying}
        settings: list[dict[str, Value]] = []
        for number, row in enumerate(recipe.rows):
            place = row_name(recipe, number)
            try:
                setting = dict(_setting({**given, **row.set}, row.set, fixed, declared))
            except RequestError as error:
                raise RequestError(f"{place}: {error}") from None
            if setting in settings:
                raise RequestError(f"{row_name(recipe, settings.index(setting))} and {place} are the same setting")
            settings.append(setting)
        cells = tuple({name: value for name, value in setting.items() if name in varying} for setting in settings)
        searched = {
            # A dict, not a set: in the order of their appearance.
            name: CategoricalDistribution(tuple(dict.fromkeys(cell[name] for cell in cells if name in cell)))
            for name in declared
            if name in varying
        }
        return cls(fixed, searched, cells)


def row_name(recipe: Recipe, number: int) -> str:
    """What an error calls a row: ``row 2 'momentum 0.9'``, counted from 1."""
    name = recipe.rows[number].name
    return f"row {number + 1} {name!r}" if name else f"row {number + 1}"


def _setting(
    given: Mapping[str, Value],
    own: Mapping[str, Value],
    fixed: Mapping[str, Value],
    declared: Mapping[str, Hyperparameter],
) -> Iterator[tuple[str, Value]]:
    """Every hyperparameter of a row and its value; `own` are those that the row itself sets."""
    for name in own:
        if name not in declared:
            raise unknown("hyperparameter", name, declared)
    values: dict[str, Value] = {}
    for name, declaration in declared.items():
        absent = [parent for parent, allowed in declaration.when.items() if values.get(parent) not in allowed]
        if not absent:
            values[name] = fixed[name] if name in fixed else value_of(name, declaration, given)
            yield name, values[name]
        elif name in own:
            parent = absent[0]
            rule = " or ".join(map(str, declaration.when[parent]))
            is_now = f"{parent} is {values[parent]}" if parent in values else f"there is no {parent}"
            raise RequestError(f"{name} exists only where {parent} is {rule}; here {is_now}")


def value_of(name: str, declaration: Hyperparameter, given: Mapping[str, Value]) -> Value:
    """The value of a hyperparameter that is not searched: as given, or its default."""
    value = given.get(name, declaration.fixed)
    if value is None:
        raise RequestError(f"{clip(name)} has no default: give it a value with --set or a range with --space")
    return declaration.check(name, value)
