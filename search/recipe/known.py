"""The known settings with which a search begins: what each of them decides, and what is left to the sampler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.errors import RequestError, unknown
from search.recipe import Recipe
from search.recipe.branches import Branches
from search.recipe.distributions import contains
from search.recipe.settings import nonexistent, setting_name
from search.recipe.switches import NONE, standard
from search.show.text import SWITCH, merged, number
from search.technique import Value

_MOST_NOTED = 3


@dataclass(frozen=True)
class Known:
    """A setting with which a search begins.

    Attributes:
        params: the values of the searched parameters that it decides.
        assumed: those hyperparameters among them that the setting leaves out: each has its default, or is off.
        drawn: the searched hyperparameters that the sampler draws.
    """

    params: Mapping[str, Value]
    assumed: tuple[str, ...]
    drawn: tuple[str, ...]


def known_trials(recipe: Recipe, space: Branches, given: Mapping[str, Value]) -> tuple[Known, ...]:
    """Return the settings with which a search begins.

    A hyperparameter that a setting leaves out has its value in the recipe or its default. If it is searched, and its
    default is not among what is searched, the sampler draws it.

    Args:
        recipe: the recipe, which has the settings.
        space: the hyperparameters, and what is searched.
        given: the values that the recipe and its techniques fix.

    Raises:
        RequestError: a setting gives a hyperparameter that is unknown, fixed or cannot exist in it, or a value that is
            not searched; or two settings are the same.
    """
    found: list[Known] = []
    for index, setting in enumerate(recipe.settings):
        place = setting_name(recipe, index)
        try:
            one = decided(space, given, setting.set)
        except RequestError as error:
            raise RequestError(f"{place}: {error}") from None
        if not one.drawn and (same := [at for at, other in enumerate(found) if other.params == one.params]):
            raise RequestError(f"{setting_name(recipe, same[0])} and {place} are the same")
        found.append(one)
    return tuple(found)


def decided(space: Branches, given: Mapping[str, Value], own: Mapping[str, Value]) -> Known:
    """Return what one setting decides.

    Args:
        space, given: as for `known_trials`.
        own: the values that the setting gives.

    Raises:
        RequestError: the setting gives a hyperparameter that is unknown, fixed or cannot exist in it, or a value that
            is not searched.
    """
    return _Asked(space, given, own).known()


@dataclass(frozen=True)
class _Asked:
    """A setting as it is written, in the space of its study."""

    space: Branches
    given: Mapping[str, Value]
    own: Mapping[str, Value]

    def known(self) -> Known:
        """Return what the setting decides."""
        space, switches = self.space, self.space.switches
        for name in self.own:
            if name not in space.declared and name not in switches.groups:
                raise unknown("hyperparameter", name, [*space.declared, *switches.groups])
        values: dict[str, Value] = {}
        params: dict[str, Value] = {}
        drawn: list[str] = []
        for name in space.order:
            exists = space.exists(name, values)
            if not exists or switches.turn_off(name, values):
                self._validate_absent(name, values, drawn, off=exists)
                if exists and (neutral := space.declared[name].neutral) is not None:
                    values[name] = neutral
            elif name in space.fixed:
                self._validate_fixed(name)
                values[name] = space.fixed[name]
            elif (value := self._value(name)) is None:
                drawn.append(name)
            else:
                values[name] = params[name] = value
        unsaid = [
            name
            for name, value in merged(params).items()
            if name not in self.own and (name in space.declared or value == NONE)
        ]
        return Known(params, tuple(unsaid), tuple(drawn))

    def _value(self, name: str) -> Value | None:
        """Return the value of a searched parameter, or None if the sampler draws it."""
        switches = self.space.switches
        if name in switches.switched:
            of = switches.switched[name]
            default = self._default(of)
            return self._standard(of) != self.space.declared[of].neutral if of in self.own else default is not None
        if name in switches.groups:
            return self._choice(name)
        if name in self.own:
            value = self._standard(name)
            if not contains(self.space.searched[name], value):
                raise RequestError(
                    f"{name} is searched over {self.space.text(name)}, which does not hold {value}: give a value in it,"
                    f" or a wider --space {name}"
                )
            return value
        return self._default(name)

    def _default(self, name: str) -> Value | None:
        """Return a searched hyperparameter's default, or None if that is not searched."""
        declaration, switches = self.space.declared[name], self.space.switches
        default = self.given.get(name, declaration.fixed)
        # Where something must be on, the value at which it does nothing is no default.
        on = name in switches.members or SWITCH + name in switches.switched
        if default is None or (on and default == declaration.neutral):
            return None
        value = standard(name, declaration, default)
        return value if contains(self.space.searched[name], value) else None

    def _choice(self, group: str) -> Value | None:
        """Return the technique of a group: the one that is named, or whose hyperparameters are given; else none."""
        members, choices = self.space.switches.members, self.space.switches.groups[group]
        implied = {
            members[name][1]: name for name in self.own if members.get(name, ("", ""))[0] == group and self._on(name)
        }
        if group in self.own:
            choice = self.own[group]
            if choice not in choices:
                raise unknown(f"choice of {group}", str(choice), choices)
        elif len(implied) > 1:
            raise RequestError(f"{' and '.join(implied.values())} are given, but a trial uses one technique of {group}")
        else:
            choice = next(iter(implied), NONE)
        return choice if choice in choices else None

    def _on(self, name: str) -> bool:
        return self._standard(name) != self.space.declared[name].neutral

    def _standard(self, name: str) -> Value:
        return standard(name, self.space.declared[name], self.own[name])

    def _validate_fixed(self, name: str) -> None:
        """Refuse another value than that of all trials."""
        if name in self.own and self._standard(name) != self.space.fixed[name]:
            value = self.space.fixed[name]
            raise RequestError(
                f"{name} is fixed at {value} in all trials: search it, as in --space {name}={value},{self.own[name]}"
            )

    def _validate_absent(self, name: str, values: Mapping[str, Value], drawn: Sequence[str], *, off: bool) -> None:
        """Refuse a hyperparameter that is given where it does not exist or is off."""
        if name not in self.own:
            return
        if unsaid := [parent for parent in self.space.declared[name].when if parent in drawn]:
            raise RequestError(f"{name} exists only for some values of {unsaid[0]}: give {unsaid[0]} too")
        if not off:
            raise nonexistent(name, self.space.declared[name], values)
        if self._on(name):
            deciding = next(self.space.switches.deciding(name))
            what = f"{deciding} is {values[deciding]}" if deciding in self.space.searched else "its technique is off"
            raise RequestError(f"{name} has no use here, because {what}: leave it out")


def known_notes(recipe: Recipe, known: Sequence[Known]) -> list[str]:
    """Return a note on what the known settings leave out."""
    parts = []
    for at, one in enumerate(known):
        values = merged(one.params)
        assumed = [f"takes the default of {', '.join(f'{name} ({number(values[name])})' for name in one.assumed)}"]
        drawn = [f"leaves {', '.join(name for name in one.drawn if not name.startswith(SWITCH))} to the sampler"]
        if said := [*(assumed if one.assumed else []), *(drawn if one.drawn else [])]:
            parts.append(f"{setting_name(recipe, at)} {' and '.join(said)}")
    more = f"; {len(parts) - _MOST_NOTED} more do likewise" if len(parts) > _MOST_NOTED else ""
    whole = "; ".join(parts[:_MOST_NOTED])
    return [f"{whole}{more}: give a setting all values to decide otherwise"] if parts else []
