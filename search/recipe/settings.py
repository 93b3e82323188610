"""The explicit settings of a study: what they fix, what varies among them, and which grid cells they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from optuna.distributions import CategoricalDistribution

from search.errors import RequestError, clip, unknown
from search.recipe import Recipe
from search.recipe.switches import standard
from search.technique import Hyperparameter, Value


@dataclass(frozen=True)
class ExplicitSettings:
    """The settings of a recipe that lists them, validated and completed.

    Attributes:
        fixed: the values of the hyperparameters that no setting gives.
        searched: a distribution for each hyperparameter that some setting gives. Its choices are the values over all
            settings, in order of appearance.
        cells: each setting's values of the searched hyperparameters that exist in it, in the order written.
    """

    fixed: Mapping[str, Value]
    searched: Mapping[str, CategoricalDistribution]
    cells: tuple[Mapping[str, Value], ...]

    @classmethod
    def resolve(
        cls, recipe: Recipe, declared: Mapping[str, Hyperparameter], given: Mapping[str, Value]
    ) -> ExplicitSettings:
        """Return the settings of a recipe that lists them.

        Args:
            recipe: the recipe.
            declared: all hyperparameters of the study, by name.
            given: the values that the recipe and its techniques fix.

        Raises:
            RequestError: a setting gives a hyperparameter that is unknown or cannot exist in it, or a value that is
                not allowed, or it equals another setting.
        """
        varying = {name for setting in recipe.settings for name in setting.set}
        fixed = {name: value_of(name, declared[name], given) for name in declared if name not in varying}
        complete: list[dict[str, Value]] = []
        for number, setting in enumerate(recipe.settings):
            place = setting_name(recipe, number)
            try:
                values = dict(_complete({**given, **setting.set}, setting.set, fixed, declared))
            except RequestError as error:
                raise RequestError(f"{place}: {error}") from None
            if values in complete:
                raise RequestError(f"{setting_name(recipe, complete.index(values))} and {place} are the same")
            complete.append(values)
        cells = tuple({name: value for name, value in values.items() if name in varying} for values in complete)
        searched = {
            # A dict keeps the order of appearance, which a set would lose.
            name: CategoricalDistribution(tuple(dict.fromkeys(cell[name] for cell in cells if name in cell)))
            for name in declared
            if name in varying
        }
        return cls(fixed, searched, cells)


def setting_name(recipe: Recipe, number: int) -> str:
    """Return the words for a setting in an error, counted from 1: ``setting 2 'momentum 0.9'``."""
    name = recipe.settings[number].name
    return f"setting {number + 1} {name!r}" if name else f"setting {number + 1}"


def _complete(
    given: Mapping[str, Value],
    own: Mapping[str, Value],
    fixed: Mapping[str, Value],
    declared: Mapping[str, Hyperparameter],
) -> Iterator[tuple[str, Value]]:
    """Yield every hyperparameter of a setting and its value; `own` holds those that the setting itself gives."""
    for name in own:
        if name not in declared:
            raise unknown("hyperparameter", name, declared)
    values: dict[str, Value] = {}
    for name, declaration in declared.items():
        if all(values.get(parent) in allowed for parent, allowed in declaration.when.items()):
            values[name] = fixed[name] if name in fixed else value_of(name, declaration, given)
            yield name, values[name]
        elif name in own:
            raise nonexistent(name, declaration, values)


def nonexistent(name: str, declaration: Hyperparameter, values: Mapping[str, Value]) -> RequestError:
    """Return the error for a hyperparameter that is given where it does not exist."""
    parent = next(parent for parent, allowed in declaration.when.items() if values.get(parent) not in allowed)
    rule = " or ".join(map(str, declaration.when[parent]))
    is_now = f"{parent} is {values[parent]}" if parent in values else f"there is no {parent}"
    return RequestError(f"{name} exists only where {parent} is {rule}; here {is_now}")


def value_of(name: str, declaration: Hyperparameter, given: Mapping[str, Value]) -> Value:
    """Return the value of a hyperparameter that is not searched: the given one, or its default."""
    value = given.get(name, declaration.fixed)
    if value is None:
        raise RequestError(f"{clip(name)} has no default: give it a value with --set or a range with --space")
    return standard(name, declaration, value)
