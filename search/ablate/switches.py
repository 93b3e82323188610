"""How each technique of a study is switched: off if the chosen trial uses it, on otherwise.

A technique is off where its hyperparameters are at their neutral values. It is switched on at the values of the best
complete trial that uses it. A technique that declares no hyperparameters, such as `weight_decay`, is switched by the
hyperparameter that it is named after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from optuna.trial import FrozenTrial, TrialState

from search.errors import RequestError, unknown
from search.recipe.settings import value_of
from search.recipe.space import Space
from search.record.own import own_trials
from search.show.text import assignments
from search.study.retrain import complete_values
from search.study.study import BaseStudy
from search.technique import Technique, Value


@dataclass(frozen=True)
class Switch:
    """A technique that can be switched.

    Attributes:
        technique: its name.
        used: whether the chosen trial uses it.
        at: its hyperparameters where it is on.
        changes: the values that switch it: off if the trial uses it, otherwise on.
        origin: the trial that has the values `at`; None if the user gave them.
    """

    technique: str
    used: bool
    at: Mapping[str, Value]
    changes: Mapping[str, Value]
    origin: int | None

    def note(self) -> str:
        """Say at which values the technique is switched on, and why at those."""
        why = "as you said" if self.origin is None else f"as in trial {self.origin}, the best one that uses it"
        other = "" if self.origin is None else "; --set chooses other values"
        return f"{self.technique} is off in the trial; it is switched on at {assignments(self.at)}, {why}{other}"


@dataclass(frozen=True)
class Switches:
    """The techniques of a study, around one trial.

    Attributes:
        values: all values of the trial.
        each: the techniques that can be switched, in the study's order.
        notes: why others cannot, a line each.
    """

    values: Mapping[str, Value]
    each: Sequence[Switch]
    notes: Sequence[str]


def find(study: BaseStudy, trial: FrozenTrial, given: Mapping[str, Value]) -> Switches:
    """Return how the techniques of a study are switched around a trial.

    Args:
        study: the study.
        trial: the chosen trial.
        given: values of hyperparameters at which techniques that the trial does not use are switched on.

    Raises:
        RequestError: no technique can be switched, or a given value is of no technique that is switched on.
    """
    if not study.techniques:
        raise RequestError(
            f"study {study.name!r} has no techniques to switch off: run a study with some, such as l2+dropout"
        )
    space, values = study.space, complete_values(study, trial.number, trial.params)
    others = _others(study, trial)
    each: list[Switch] = []
    notes: list[str] = []
    fixed: list[str] = []
    for technique in study.techniques:
        neutral = _neutral(space, technique)
        if not neutral:
            fixed.append(technique.name)
            continue
        if _uses(values, neutral):
            at = {name: values[name] for name in neutral if values.get(name, neutral[name]) != neutral[name]}
            each.append(Switch(technique.name, True, at, neutral, trial.number))
        elif (on := _on(space, technique, neutral, others, given)) is not None:
            if _uses(switched(space, values, [on]), neutral):
                each.append(on)
            else:
                notes.append(
                    f"{technique.name} cannot be switched on: {next(iter(neutral))} does not exist in this trial"
                )
        elif any(name in space.searched for name in neutral):
            notes.append(
                f"{technique.name} is off in every complete trial, so it is not switched on:"
                f" --set {next(iter(neutral))}=VALUE says at which value to do so"
            )
        else:
            notes.append(f"{technique.name} is fixed off in this study, so it is not switched on")
    if fixed:
        verb = "have" if len(fixed) > 1 else "has"
        notes.append(f"{' and '.join(fixed)} {verb} no neutral value and cannot be switched off")
    if not each:
        raise RequestError(f"study {study.name!r} has no technique that can be switched: {'; '.join(notes)}")
    _validate_given(space, given, each, study.techniques)
    return Switches(values, each, notes)


def switched(space: Space, values: Mapping[str, Value], switches: Iterable[Switch]) -> dict[str, Value]:
    """Return all values of a trial after some techniques have been switched.

    A hyperparameter that no longer exists is left out. One that now exists has its default, unless a switch gives it.
    """
    wanted = dict(values)
    for one in switches:
        wanted |= one.changes
    found: dict[str, Value] = {}
    for name, declared in space.declared.items():
        # One without a default is absent where its technique is off.
        if space.exists(name, found) and (name in wanted or declared.fixed is not None):
            found[name] = value_of(name, declared, wanted)
    for name, (_, function) in space.derived.items():
        found[name] = space.declared[name].validate(name, function(found))
    return found


def _own(technique: Technique) -> list[str]:
    return [*technique.hyperparameters, *technique.space]


def _neutral(space: Space, technique: Technique) -> dict[str, Value]:
    """Return the hyperparameters that switch a technique off, at their neutral values."""
    names = technique.hyperparameters or [name for name in technique.space if name == technique.name]
    neutral = {name: space.declared[name].neutral for name in names}
    return {name: value for name, value in neutral.items() if value is not None}


def _uses(values: Mapping[str, Value], neutral: Mapping[str, Value]) -> bool:
    return any(values.get(name, value) != value for name, value in neutral.items())


def _others(study: BaseStudy, trial: FrozenTrial) -> list[tuple[int, dict[str, Value]]]:
    """Return number and values of the complete trials besides one, the best first."""
    first = study.objectives.first
    complete = [one for one in own_trials(study.optuna_study, [TrialState.COMPLETE]) if one.number != trial.number]
    ranked = sorted(complete, key=lambda one: (first.loss(one.values[0]), one.number))
    found = ((one.number, study.space.complete(one.params)) for one in ranked)
    return [(number, values) for number, values in found if values is not None]


def _on(
    space: Space,
    technique: Technique,
    neutral: Mapping[str, Value],
    others: Iterable[tuple[int, Mapping[str, Value]]],
    given: Mapping[str, Value],
) -> Switch | None:
    """Return how a technique that is off is switched on; None if nobody has said at which values."""
    own = _own(technique)
    asked = {name: space.declared[name].validate(name, value) for name, value in given.items() if name in own}
    origin, values = next(((number, all_) for number, all_ in others if _uses(all_, neutral)), (None, {}))
    if asked and not any(name in space.searched for name in neutral):
        # Its `check` and `prepare` hooks are not called in a study that never uses it.
        raise RequestError(
            f"--set {next(iter(asked))}: {technique.name} is fixed off in this study; give it a range in a new study"
        )
    at = {name: values[name] for name in own if name in values} | asked
    if not _uses(at, neutral):
        if asked:
            raise RequestError(f"--set {assignments(asked)}: that leaves {technique.name} off; give another value")
        return None
    return Switch(technique.name, False, at, at, None if asked else origin)


def _validate_given(
    space: Space, given: Mapping[str, Value], switches: Sequence[Switch], techniques: Sequence[Technique]
) -> None:
    """Refuse values of hyperparameters that are of no technique that is switched on."""
    off = {one.technique for one in switches if not one.used}
    allowed = [name for one in techniques if one.name in off for name in _own(one)]
    for name in given:
        if name not in space.declared:
            raise unknown("hyperparameter", name, space.declared)
        if name not in allowed:
            raise RequestError(
                f"--set {name}: takes hyperparameters of techniques that are off in the trial"
                f" ({', '.join(allowed) or 'there are none'}), and {name} is not one"
            )
