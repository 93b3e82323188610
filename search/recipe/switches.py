"""What may be off in some trials of a study: hyperparameters with `off` in their range, and techniques of a group.

A hyperparameter that is off has its neutral value. A range with `off` has a switch, which is a parameter of its own:
``use l2`` is true in the trials that draw l2 from its range. Choices with `off` have the neutral value among them. A
group is a parameter whose choices are techniques: each trial uses one of them, and the others are off. Hyperparameters
without a neutral value do not exist in a trial whose technique is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from optuna.distributions import BaseDistribution, CategoricalDistribution

from search.errors import RequestError, clip, unknown
from search.recipe import Recipe
from search.recipe.distributions import as_text
from search.recipe.schema import Range
from search.show.text import OFF, SWITCH
from search.technique import Hyperparameter, Technique, Value

NONE = "none"
"""The choice of a group at which all of its techniques are off."""


@dataclass(frozen=True)
class Switches:
    """What may be off, and what decides it.

    Attributes:
        off: the hyperparameters with `off` in their range or among their choices.
        switched: those of them that have a switch, by its name.
        groups: the choices of each group, by its name.
        members: the group and the technique of each hyperparameter of a group's techniques.
        companions: for a hyperparameter that does not exist where its technique is off, the neutral values of those of
            the technique that have one. The technique is off where all of them are neutral.
    """

    off: frozenset[str] = frozenset()
    switched: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    members: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    companions: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    @classmethod
    def resolve(
        cls,
        recipe: Recipe,
        techniques: Sequence[Technique],
        declared: Mapping[str, Hyperparameter],
        ranges: Mapping[str, Range],
    ) -> Switches:
        """Return what may be off in a study that searches these ranges.

        Raises:
            RequestError: something without a neutral value should be off, or a group cannot be.
        """
        off = frozenset(name for name, one in ranges.items() if _has_off(declared[name], one))
        for name in sorted(off):
            if declared[name].neutral is None:
                raise RequestError(f"{name} cannot be off: it has no neutral value, at which it would do nothing")
        members: dict[str, tuple[str, str]] = {}
        for group in recipe.one_of:
            for technique in _techniques(recipe, group, techniques, declared):
                for name in _own(technique):
                    _validate_member(name, group, off, recipe)
                    members[name] = group, technique.name
                _validate_chosen(technique, group, declared, ranges)
        switched = {SWITCH + name: name for name in declared if name in off and not ranges[name].choices}
        return cls(off, switched, recipe.one_of, members, dict(_companions(techniques, off, declared)))

    @property
    def names(self) -> list[str]:
        """The parameters that are no hyperparameters: the groups, then the switches."""
        return [*self.groups, *self.switched]

    def distribution(self, name: str) -> CategoricalDistribution:
        """Return the choices of a group or of a switch; to be off comes first."""
        return CategoricalDistribution(self.groups.get(name, (False, True)))

    def order(self, declared: Mapping[str, Hyperparameter]) -> list[str]:
        """Return all parameters, each one after those that decide whether it exists or is off."""
        order = list(self.groups)

        def visit(name: str) -> None:
            if name in order:
                return
            for parent in (*declared[name].when, *self.companions.get(name, ())):
                visit(parent)
            if SWITCH + name in self.switched:
                order.append(SWITCH + name)
            order.append(name)

        for name in declared:
            visit(name)
        return order

    def deciding(self, name: str) -> Iterator[str]:
        """Yield the parameters that decide whether a hyperparameter is off."""
        if SWITCH + name in self.switched:
            yield SWITCH + name
        if name in self.members:
            yield self.members[name][0]
        yield from self.companions.get(name, ())

    def turn_off(self, name: str, values: Mapping[str, Value]) -> bool:
        """Return whether a hyperparameter is off in a trial, given the values of the parameters before it."""
        if name in self.members:
            group, technique = self.members[name]
            return values.get(group) != technique
        if name in self.companions:
            return all(values.get(one, neutral) == neutral for one, neutral in self.companions[name].items())
        return values.get(SWITCH + name) is False

    def text(self, name: str, searched: BaseDistribution, declared: Mapping[str, Hyperparameter]) -> str:
        """Return what a parameter is searched over, as the command line takes it: ``off,1e-06:0.1:log``."""
        if name in self.off and isinstance(searched, CategoricalDistribution):
            neutral = declared[name].neutral
            return ",".join(OFF if choice == neutral else str(choice) for choice in searched.choices)
        return f"{OFF}," * (name in self.off) + as_text(searched)


def _has_off(declaration: Hyperparameter, searched: Range) -> bool:
    return searched.off or (OFF in searched.choices and not _accepts_off(declaration))


def _accepts_off(declaration: Hyperparameter) -> bool:
    """Return whether the word `off` is an ordinary value of a hyperparameter."""
    try:
        declaration.validate("", OFF)
    except RequestError:
        return False
    return True


def standard(name: str, declaration: Hyperparameter, value: object) -> Value:
    """Return a value in its standard form; `off` stands for the neutral value.

    Raises:
        RequestError: the value is not allowed.
    """
    if value == OFF and declaration.neutral is not None and not _accepts_off(declaration):
        return declaration.neutral
    return declaration.validate(name, value)


def without_off(name: str, declaration: Hyperparameter, searched: Range) -> Range:
    """Return the choices of a hyperparameter with the neutral value in the place of `off`; a range as it is.

    Raises:
        RequestError: the neutral value is among the choices too.
    """
    if not searched.choices or not _has_off(declaration, searched):
        return searched
    given = searched.choices if OFF in searched.choices else (OFF, *searched.choices)
    if len(given) == 1:
        raise RequestError(
            f"{name} has no choice but off: give it a range too, as in --space {name}=off,LOW:HIGH, or fix it with"
            f" --set {name}=off"
        )
    choices = tuple(standard(name, declaration, choice) for choice in given)
    if choices.count(choices[given.index(OFF)]) > 1:
        raise RequestError(f"{name} has a choice twice: off is {declaration.neutral}")
    return searched.model_copy(update={"choices": choices})


def _own(technique: Technique) -> list[str]:
    """Return the hyperparameters that belong to a technique, or that it searches if it has none of its own."""
    return list(technique.hyperparameters or technique.space)


def _techniques(
    recipe: Recipe, group: str, techniques: Sequence[Technique], declared: Mapping[str, Hyperparameter]
) -> Iterator[Technique]:
    """Yield the techniques of a group, each of which can be off."""
    where = f"one_of.{group}"
    known = {technique.name: technique for technique in techniques}
    if not group.isidentifier() or group in declared:
        kind = "is the name of a hyperparameter" if group in declared else "is not a name like 'augment'"
        raise RequestError(f"{where}: {clip(group)!r} {kind}: give the group another name")
    for other, names in recipe.one_of.items():
        if other != group and (both := [name for name in names if name in recipe.one_of[group] and name != NONE]):
            raise RequestError(f"technique {both[0]!r} is in two groups of one_of, {other} and {group}: name it in one")
    for name in recipe.one_of[group]:
        if name == NONE:
            continue
        if name not in known:
            raise unknown(f"technique in {where}", name, [*known, NONE])
        technique = known[name]
        neutral = [declared[one].neutral is not None for one in _own(technique)]
        # What every study has must keep a value where the technique is off.
        if technique.derive or not any(neutral) or not (technique.hyperparameters or all(neutral)):
            lacking = ", ".join(one for one in _own(technique) if declared[one].neutral is None) or "all that it does"
            raise RequestError(f"{where}: technique {name!r} cannot be off: there is no neutral value of {lacking}")
        yield technique


def _validate_member(name: str, group: str, off: frozenset[str], recipe: Recipe) -> None:
    """Refuse a hyperparameter of a group's technique that something else switches off, or keeps from being off."""
    if name in off:
        raise RequestError(f"{name} has off in its range, but one_of.{group} switches it off already: leave out off")
    if name in recipe.set:
        raise RequestError(
            f"{name} is fixed at {clip(str(recipe.set[name]))} by set, but one_of.{group} switches it off in some"
            f" trials: give it a range or one choice, such as --space {name}={clip(str(recipe.set[name]))}"
        )


def _validate_chosen(
    technique: Technique, group: str, declared: Mapping[str, Hyperparameter], ranges: Mapping[str, Range]
) -> None:
    """Refuse a technique that would do nothing in the trials that choose it."""
    active = (name for name in _own(technique) if declared[name].neutral is not None)
    if all(name not in ranges and declared[name].fixed == declared[name].neutral for name in active):
        raise RequestError(
            f"one_of.{group}: technique {technique.name!r} does nothing where it is chosen: give one of its"
            f" hyperparameters a range with --space: {', '.join(_own(technique))}"
        )


def _companions(
    techniques: Sequence[Technique], off: frozenset[str], declared: Mapping[str, Hyperparameter]
) -> Iterator[tuple[str, Mapping[str, Value]]]:
    for technique in techniques:
        neutral = {name: one.neutral for name, one in technique.hyperparameters.items() if one.neutral is not None}
        if technique.derive or not off & neutral.keys():
            continue
        before = set().union(*(_ancestors(name, declared) for name in neutral))
        for name in technique.hyperparameters:
            if name not in neutral and name not in before:
                yield name, neutral


def _ancestors(name: str, declared: Mapping[str, Hyperparameter]) -> set[str]:
    """Return the hyperparameters on which the existence of one depends, directly or through others."""
    parents = set(declared[name].when)
    return parents.union(*(_ancestors(parent, declared) for parent in parents))
