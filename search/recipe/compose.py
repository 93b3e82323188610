"""How techniques stand side by side in one study: who owns which name, what cannot be together, who has work to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch

from search.data import Data, load
from search.errors import RequestError
from search.technique import Hyperparameter, Numeric, Structural, Technique, Value

if TYPE_CHECKING:
    from search.recipe import Recipe


def confirm(techniques: Sequence[Technique]) -> None:
    """Refuse techniques that cannot be in one study.

    Raises:
        RequestError: two of them declare, derive or search over one name, two have one role, or one fixes what another
            searches or fixes otherwise.
    """
    owners: dict[str, str] = {}
    roles: dict[str, str] = {}
    for technique in techniques:
        for name in (*technique.hyperparameters, *technique.derive, *technique.space):
            if name in owners:
                raise RequestError(
                    f"techniques {owners[name]!r} and {technique.name!r} both own hyperparameter {name!r}"
                )
            owners[name] = technique.name
        if technique.role is not None:
            if technique.role in roles:
                raise RequestError(
                    f"techniques {roles[technique.role]!r} and {technique.name!r} are both a {technique.role}: "
                    f"a study has one"
                )
            roles[technique.role] = technique.name
    for technique in techniques:
        for name in technique.set:
            if owners.get(name, technique.name) != technique.name:
                raise RequestError(f"technique {technique.name!r} fixes {name!r}, which {owners[name]!r} searches")
    settings(techniques)


def settings(techniques: Sequence[Technique]) -> dict[str, Value]:
    """What techniques fix of the model and the optimiser; raises RequestError where two of them differ."""
    found: dict[str, Value] = {}
    by: dict[str, str] = {}
    for technique in techniques:
        for name, value in technique.set.items():
            if found.setdefault(name, value) != value:
                raise RequestError(
                    f"technique {by[name]!r} needs {name} {found[name]}, technique {technique.name!r} {name} {value}"
                )
            by.setdefault(name, technique.name)
    return found


class Possible(Protocol):
    """What `Space` says of a hyperparameter."""

    def possible(self, name: str) -> list[Value]: ...


@dataclass(frozen=True)
class StudySetting:
    """`search.technique.StudyContext` for one study, of all its techniques."""

    data: Data
    members: Sequence[Technique]
    space: Possible

    @property
    def techniques(self) -> Sequence[str]:
        """Their names."""
        return [technique.name for technique in self.members]

    @property
    def train_rows(self) -> Sequence[int]:
        """How many training rows an epoch may have, most first."""
        choosing = [technique for technique in self.members if technique.rows is not None]
        names = [name for one in choosing for name, own in one.hyperparameters.items() if isinstance(own, Structural)]
        counts = set()
        for values in product(*map(self.possible, names)):
            order = torch.arange(len(self.data.x_train))
            for technique in choosing:
                assert technique.rows is not None
                order = technique.rows(order, dict(zip(names, values, strict=True)))
            counts.add(len(order))
        return sorted(counts, reverse=True)

    def possible(self, name: str) -> list[Value]:
        """The values a hyperparameter may take."""
        return self.space.possible(name)


def _idle(technique: Technique, space: Possible) -> bool:
    """Whether it is at work in no trial: what could say so is neutral, or cannot exist."""

    def rests(name: str, one: Hyperparameter) -> bool:
        absent = any(not {*space.possible(parent)} & {*allowed} for parent, allowed in one.when.items())
        return absent or space.possible(name) == [one.neutral]

    own = technique.hyperparameters.items()
    telling = [(name, one) for name, one in own if isinstance(one, Numeric) or one.neutral is not None]
    return bool(telling) and all(rests(name, one) for name, one in telling)


def prepared_data(
    recipe: Recipe, techniques: Sequence[Technique], space: Possible, data_dir: Path, *, offline: bool
) -> Data:
    """A recipe's data as its techniques need them, who have found nothing wrong with the study.

    Raises:
        RequestError, EnvironmentFault: see `search.data.load` and `Technique.check`.
    """
    spec = recipe.data
    data = load(
        spec.dataset, target=spec.target, scale=spec.scale, split=spec.split, validation=spec.validation,
        seed=spec.seed, data_dir=data_dir, offline=offline, options=spec.options,
    )  # fmt: skip
    for technique in techniques:
        data = _prepared(technique, space, data, techniques)
    return data


def _prepared(technique: Technique, space: Possible, data: Data, techniques: Sequence[Technique]) -> Data:
    """The data as a technique needs them, once it has found nothing wrong with the study.

    Raises:
        RequestError: it cannot work there.
    """
    check([technique], techniques, data, space)
    if technique.prepare is None or _idle(technique, space):
        return data
    with _named(technique):
        return technique.prepare(data, StudySetting(data, techniques, space))


def check(those: Sequence[Technique], techniques: Sequence[Technique], data: Data, space: Possible) -> None:
    """Whether some of a study's techniques find something wrong with it.

    Raises:
        RequestError: one cannot work there.
    """
    for technique in those:
        if technique.check is not None and not _idle(technique, space):
            with _named(technique):
                technique.check(StudySetting(data, techniques, space))


@contextmanager
def _named(technique: Technique) -> Iterator[None]:
    """Says whose complaint it is."""
    try:
        yield
    except ValueError as error:
        raise RequestError(f"technique {technique.name!r}: {error}") from None
