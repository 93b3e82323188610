"""Begin a search with what earlier studies have found: their best settings, and for TPE the ranks of their trials.

What is taken is written into the recipe. So the new study follows from what it stores: the earlier studies are not
needed again, and what happens to them changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from search.cli.values import parse_value
from search.errors import RequestError, clip, counted, listed
from search.recipe import Recipe, compose
from search.recipe.distributions import contains
from search.recipe.known import Known, decided
from search.recipe.schema import Earlier, EarlierTrial, Setting
from search.recipe.space import Space
from search.recipe.switches import standard
from search.record.feasible import feasible
from search.record.objectives import Objectives
from search.record.own import own_trials
from search.record.ranking import evenly, ranked
from search.record.stored import stored_recipe
from search.show.text import SWITCH, assignments, merged
from search.storage import database
from search.study import lookup
from search.study.identity import IDENTITY
from search.technique import Technique, Value

SETTINGS = 3
"""The number of settings that are taken from each earlier study."""
_MOST_TRIALS = 256  # of an earlier study, evenly spaced by rank: the recipe is read again with every cohort
_MOST_NOTED = 3


def begin_from(
    recipe: Recipe, techniques: Sequence[Technique], words: Sequence[str], storage: str, name: str
) -> tuple[Recipe, list[str]]:
    """Return a recipe with what it takes from earlier studies, and notes on what was left out.

    If the study exists and began from the same studies, it goes on with what it took then.

    Args:
        recipe: the recipe of the study.
        techniques: its techniques.
        words: the earlier studies: their names, or what they were made from (`search.study.lookup.find`).
        storage: the URL of the database of all these studies.
        name: the name of the study.

    Raises:
        RequestError: an earlier study does not exist, or nothing can be taken from it.
    """
    if recipe.sampler == "grid":
        raise RequestError("from takes a sampler that draws, such as tpe; a grid trains all of its cells anyway")
    if recipe.earlier:
        raise RequestError(f"from: recipe {recipe.name} already has what it took from earlier studies: leave out from")
    stored = lookup.ours(storage).get(name)
    if stored is not None:
        there = Recipe.parse(stored_recipe(stored), name)
        names = [earlier.study for earlier in there.earlier]
        if names and names == [_named(word, names) for word in words]:
            return _with(recipe, [one for one in there.settings if one.study], there.earlier), []
    space = Space.resolve(recipe, techniques)
    fitter = _Fitter(space, compose.fixed_values(techniques) | dict(recipe.set))
    studies: list[_Study] = []
    for word in words:
        try:
            studies.append(_Study.read(word, storage, name, fitter))
        except RequestError as error:
            raise RequestError(f"from {clip(word)}: {error}") from None
        if studies[-1].name in [one.name for one in studies[:-1]]:
            raise RequestError(f"from {clip(word)}: study {studies[-1].name!r} is given twice")
    settings = _alternating(studies, [known.params for known in space.first])
    earlier = [Earlier(study=one.name, trials=one.prior() if recipe.sampler == "tpe" else ()) for one in studies]
    for one, taken in zip(studies, earlier, strict=True):
        if not taken.trials and all(setting.study != one.name for setting in settings):
            why = one.left_out[0] if one.left_out else "its best settings are those that the search begins with anyway"
            raise RequestError(f"from {one.name}: nothing can be taken: {why}: give wider ranges, or another study")
    notes = [note for one in studies for note in one.notes()]
    return _with(recipe, settings, earlier), notes


def _with(recipe: Recipe, settings: Sequence[Setting], earlier: Sequence[Earlier]) -> Recipe:
    # A sampler that is given says that the study searches, and does not only compare its settings.
    changes: dict[str, Any] = {"settings": [*recipe.settings, *settings], "earlier": [*earlier]}
    return recipe.but(recipe.name, **changes, sampler=recipe.sampler)


def _named(word: str, known: Sequence[str]) -> str:
    """Return the name of the earlier study that a word means, which need not exist any more."""
    if word in known:
        return word
    try:
        return lookup.usual_name(word, None, known)
    except RequestError:
        return word


@dataclass(frozen=True)
class _Fitter:
    """Finds what the values of an earlier trial decide in the new space."""

    space: Space
    given: Mapping[str, Value]

    def searched(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """Return those values whose hyperparameter, or group, is searched now."""
        return {name: value for name, value in values.items() if name in self.space.dimensions}

    def known(self, values: Mapping[str, Value]) -> Known:
        """Return what the values decide; raise RequestError if one of them is not searched."""
        return decided(self.space, self.given, values)

    def contains(self, name: str, value: Value) -> bool:
        """Return whether one value of a hyperparameter, or of a group, is searched."""
        declared = self.space.declared.get(name)
        try:
            return contains(self.space.searched[name], value if declared is None else standard(name, declared, value))
        except RequestError:
            return False

    def outside(self, values: Mapping[str, Value]) -> str:
        """Return which of the values are not searched: ``dropout=0.9, outside 0.0:0.8``."""
        outside = [name for name, value in values.items() if not self.contains(name, value)]
        return "; ".join(f"{assignments({name: values[name]})}, outside {self.space.text(name)}" for name in outside)

    def exists(self, name: str, values: Mapping[str, Value]) -> bool:
        """Return whether a hyperparameter exists beside these values and those that all trials share."""
        there = {**self.space.fixed, **values}
        return all(there.get(parent) in allowed for parent, allowed in self.space.declared[name].when.items())


@dataclass
class _Study:
    """An earlier study, seen from the new one.

    Attributes:
        name: its name.
        fixed: the values that it fixes of hyperparameters that are searched now, over ranges that hold them.
        trials: its finished trials, the best first.
        fitter: the new space.
        left_out: why trials were left out that would have been settings.
        unfitting: the number of its trials that are not in the prior.
    """

    name: str
    fixed: Mapping[str, Value]
    trials: Sequence[FrozenTrial]
    fitter: _Fitter
    left_out: list[str] = field(default_factory=list)
    unfitting: int = 0

    @classmethod
    def read(cls, word: str, storage: str, new: str, fitter: _Fitter) -> _Study:
        """Read an earlier study.

        Raises:
            RequestError: there is no such study, it is the new one, or it has nothing to take.
        """
        name, recipe = lookup.find(storage, word)
        if name == new:
            raise RequestError(f"study {name!r} cannot begin from itself: give the new one another --study-name")
        with database.faults(storage):
            study = optuna.load_study(study_name=name, storage=database.connect(storage))
            attributes, directions, own = study.user_attrs, study.directions, own_trials(study)
        trials = ranked(Objectives.stored(recipe.model_dump(mode="json"), directions), own)
        if not feasible(trials):
            condition = " that meets its constraints" if recipe.constraints else ""
            raise RequestError(f"study {name!r} has no complete trial{condition}: run it first, or name another study")
        there = dict.fromkeys(one for trial in trials for one in merged(trial.params))
        here = fitter.space.dimensions
        if not there.keys() & {*here}:
            raise RequestError(
                f"study {name!r} searches {listed([*there])}, and this one searches {listed(here)}: name a study that"
                f" searches one of them too, or search {next(iter(there))} in this one"
            )
        texts = {one.removeprefix("set "): text for one, text in attributes[IDENTITY].items() if one.startswith("set ")}
        fixed = fitter.searched({one: parse_value(text) for one, text in texts.items() if one not in there})
        return cls(name, {one: value for one, value in fixed.items() if fitter.contains(one, value)}, trials, fitter)

    def _values(self, trial: FrozenTrial) -> dict[str, Value]:
        """Return the values of a trial that matter now, with those that the earlier study fixes."""
        chosen = self.fitter.searched(merged(trial.params))
        beside = {**self.fixed, **chosen}
        return {name: value for name, value in self.fixed.items() if self.fitter.exists(name, beside)} | chosen

    def settings(self) -> Iterator[tuple[Setting, Known]]:
        """Yield the settings of its complete, feasible trials that fit, the best first, with what they decide."""
        for trial in feasible(self.trials):
            values = self._values(trial)
            try:
                known = self.fitter.known(values)
            except RequestError as error:
                self.left_out.append(f"trial {trial.number} ({self.fitter.outside(values) or error})")
                continue
            name = f"{clip(self.name)} trial {trial.number}"
            yield Setting(name=name, set=values, study=self.name, trial=trial.number), known

    def prior(self) -> tuple[EarlierTrial, ...]:
        """Return its trials with their ranks; each has the values that the earlier study chose, and no others."""
        found: list[EarlierTrial] = []
        self.unfitting = 0
        for place, trial in enumerate(self.trials):
            try:
                known = self.fitter.known(self._values(trial))
            except RequestError:
                self.unfitting += 1
                continue
            others = {*known.assumed, *self.fixed}
            params = {name: value for name, value in known.params.items() if name.removeprefix(SWITCH) not in others}
            found.append(EarlierTrial(rank=place / len(self.trials), params=params))
        return tuple(evenly(found, _MOST_TRIALS))

    def notes(self) -> Iterator[str]:
        """Yield a note on what was left out, if something was."""
        if self.left_out:
            more = len(self.left_out) - _MOST_NOTED
            which = ", ".join(self.left_out[:_MOST_NOTED]) + (f" and {more} more" if more > 0 else "")
            yield f"the settings of study {self.name} leave out {which}: give wider ranges to hold them"
        if self.unfitting:
            yield (
                f"TPE does not draw by {counted(self.unfitting, 'trial')} of the {len(self.trials)} of study"
                f" {self.name}, outside what is searched"
            )


def _alternating(studies: Sequence[_Study], taken: list[Mapping[str, Value]]) -> list[Setting]:
    """Return the settings: the best one of each study, then the second best ones, and so on; none of them twice.

    Args:
        studies: the earlier studies.
        taken: what the settings decide with which the search begins anyway.
    """
    found: list[Setting] = []
    waiting = [one.settings() for one in studies]
    for _ in range(SETTINGS):
        for each in waiting:
            for setting, known in each:
                if known.params not in taken:
                    taken.append(known.params)
                    found.append(setting)
                    break
    return found
