"""A technique from outside the package is tried before a study uses it: does it keep the contracts?

A tiny pack trains for a few epochs, and each call of a hook is inspected (`search.tryout.watch`). Then the same slots
train in other company, and must come to the same results (contract C3, docs/design.md):

    again; beside changed neighbours; in another place; in a wider pack; without another replicate; alone;
    once others have left the pack

At its neutral values a technique must train as if it were absent, and its compiled forms must do what its hooks do.

The first of the technique's hooks whose result differs is named. It takes a fraction of a second.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import torch

from search.data import Data
from search.errors import TechniqueError
from search.recipe import Recipe
from search.recipe.compose import is_never_active
from search.recipe.space import Space
from search.technique import Technique
from search.technique.guarded import hooks_of
from search.technique.shared_state import restored
from search.train.batches import Batches
from search.train.crew import one_thread
from search.tryout.attempt import Attempt
from search.tryout.bench import REPLICATES, Bench, small, values_of
from search.tryout.fault import FailedTraining


class Subject(Protocol):
    """The part of a study that its techniques are tried with; see `search.study.study.BaseStudy`."""

    recipe: Recipe
    techniques: list[Technique]
    data: Data
    device: torch.device
    loss: str

    @property
    def space(self) -> Space: ...


@dataclass(frozen=True)
class Tried:
    """A technique that keeps the contracts, as far as a tiny pack shows.

    Attributes:
        technique: the name of the technique.
        place: its file.
        hooks: the names of its hooks.
        note: what the user should know about it; "" if there is nothing.
    """

    technique: str
    place: str
    hooks: tuple[str, ...]
    note: str

    def __str__(self) -> str:
        hooks = f"its hooks {', '.join(self.hooks)} keep" if len(self.hooks) > 1 else f"its hook {self.hooks[0]} keeps"
        return (
            f"{self.place}: technique {self.technique!r} was tried on a tiny pack: {hooks} slots apart, padding zero,"
            " and global random generators untouched"
        )


_tried: WeakKeyDictionary[Subject, tuple[Tried, ...]] = WeakKeyDictionary()


@one_thread()
def try_outside(study: Subject) -> tuple[Tried, ...]:
    """Try the techniques of a study that are not of the package, once for each study.

    Raises:
        Fault: a technique breaks a contract; the message names its file and its hook.
        TechniqueError: a hook fails.
    """
    if study not in _tried:
        found = []
        for technique in study.techniques:
            hooks = list(hooks_of(technique).values())
            if hooks and not hooks[0].packaged and not is_never_active(technique, study.space):
                note = try_technique(technique, study)
                found.append(Tried(technique.name, hooks[0].place, tuple(hook.name for hook in hooks), note))
                if note:
                    print(f"note: {note}", file=sys.stderr)
        _tried[study] = tuple(found)
    return _tried[study]


def try_technique(technique: Technique, study: Subject) -> str:
    """Try one technique beside the others of its study, and return a note if it is fit for this study only, else "".

    Args:
        technique: the technique, guarded (`search.technique.guarded`).
        study: the study, of whose data a few rows are used.

    Raises:
        Fault: the technique breaks a contract.
        TechniqueError: a hook fails.
    """
    try:
        _try_on_any_widths(technique, study, REPLICATES)
    except (TechniqueError, FailedTraining) as error:
        if study.recipe.seeds > 1 or study.recipe.data.folds:
            raise
        try:
            _try_on_any_widths(technique, study, REPLICATES[:1])
        except (TechniqueError, FailedTraining):
            raise error from error.__cause__
        return (
            f"{error}; this happens in a pack of two replicates, where inputs and targets are groups x batch x features"
            " until values.per_slot(x) expands them; a study of one replicate trains, but compare trains several"
        )
    return ""


def _try_on_any_widths(technique: Technique, study: Subject, replicates: Sequence[int]) -> None:
    try:
        _try_on(technique, study, replicates, awkward=True)
    except (TechniqueError, FailedTraining):
        # It may rely on the study's own number of features or widths, with which it must work.
        _try_on(technique, study, replicates, awkward=False)


def _try_on(technique: Technique, study: Subject, replicates: Sequence[int], *, awkward: bool) -> None:
    with restored():
        batches = Batches(small(study.data, awkward=awkward), study.device)
        for structure, (trials, others) in values_of(technique, study.space, awkward=awkward):
            bench = Bench(batches, structure, study.techniques, trials, others, study.loss, replicates)
            Attempt(technique, bench).run()
