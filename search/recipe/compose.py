"""Rules for several techniques in one study: who owns which name, what excludes what, and what they do to the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from search.data import Data, load, load_folds
from search.data.memory import Memory
from search.errors import RequestError, TechniqueError
from search.recipe.declared import declare
from search.technique import Hyperparameter, Structural, Technique, Value
from search.technique.guarded import Hook
from search.technique.shared_state import BY_SEED, SharedState
from search.train import losses

if TYPE_CHECKING:
    from search.recipe import Recipe


def validate_techniques(techniques: Sequence[Technique]) -> None:
    """Refuse techniques that cannot be in one study.

    Raises:
        RequestError: two techniques declare, derive or search over the same name, two have the same role, two encode
            the inputs or add waves of them, or one fixes a value that another searches or fixes otherwise.
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
    for hook, what in (("edges", "encode the inputs"), ("waves", "add waves of the inputs")):
        if len(both := [technique.name for technique in techniques if getattr(technique, hook) is not None]) > 1:
            raise RequestError(f"techniques {both[0]!r} and {both[1]!r} both {what}: a study has one")
    for technique in techniques:
        for name in technique.set:
            if owners.get(name, technique.name) != technique.name:
                raise RequestError(f"technique {technique.name!r} fixes {name!r}, which {owners[name]!r} searches")
    fixed_values(techniques)


def fixed_values(techniques: Sequence[Technique]) -> dict[str, Value]:
    """Return the values that techniques give to hyperparameters of the model and the optimiser.

    Raises:
        RequestError: two techniques give different values.
    """
    values: dict[str, Value] = {}
    sources: dict[str, str] = {}
    for technique in techniques:
        for name, value in technique.set.items():
            if values.setdefault(name, value) != value:
                raise RequestError(
                    f"technique {sources[name]!r} needs {name} {values[name]}, but technique {technique.name!r} "
                    f"needs {name} {value}"
                )
            sources.setdefault(name, technique.name)
    return values


class Possible(Protocol):
    """The part of `Space` that the hooks of techniques need."""

    def possible(self, name: str) -> list[Value]:
        """Return the values that a hyperparameter may take."""
        ...


class Choosing(Possible, Protocol):
    """The part of `Space` that loading the data needs."""

    @property
    def scales(self) -> Sequence[str]:
        """The scalings among which trials choose; none if all have that of the recipe's data."""
        ...


@dataclass(frozen=True)
class Context:
    """The `search.technique.StudyContext` of a study.

    Attributes:
        data: the data set on which the study trains.
        members: the study's techniques, in order.
        space: the study's hyperparameters.
        loss: the name of the training loss.
    """

    data: Data
    members: Sequence[Technique]
    space: Possible
    loss: str

    @property
    def techniques(self) -> Sequence[str]:
        """The names of the study's techniques, in order."""
        return [technique.name for technique in self.members]

    @property
    def train_rows(self) -> Sequence[int]:
        """The possible numbers of training rows in an epoch, the largest first."""
        choosing = [technique for technique in self.members if technique.rows is not None]
        names = [
            name
            for technique in choosing
            for name, declaration in technique.hyperparameters.items()
            if isinstance(declaration, Structural)
        ]
        counts = set()
        for values in product(*map(self.possible, names)):
            order = torch.arange(len(self.data.x_train))
            for technique in choosing:
                assert technique.rows is not None
                order = technique.rows(order, dict(zip(names, values, strict=True)))
            counts.add(len(order))
        return sorted(counts, reverse=True)

    @property
    def hyperparameters(self) -> Mapping[str, Hyperparameter]:
        """The declarations of all hyperparameters of the study, by name."""
        return declare(self.members)

    def possible(self, name: str) -> list[Value]:
        """Return the values that a hyperparameter may take."""
        return self.space.possible(name)


def is_never_active(technique: Technique, space: Possible) -> bool:
    """Return whether every hyperparameter that has a neutral value is at it or cannot exist (`Space.numeric`)."""

    def is_off(name: str, declaration: Hyperparameter) -> bool:
        cannot_exist = any(not {*space.possible(parent)} & {*allowed} for parent, allowed in declaration.when.items())
        return cannot_exist or space.possible(name) == [declaration.neutral]

    switches = {name: one for name, one in technique.hyperparameters.items() if one.neutral is not None}
    return bool(switches) and all(is_off(name, declaration) for name, declaration in switches.items())


def load_prepared_data(
    recipe: Recipe,
    techniques: Sequence[Technique],
    space: Choosing,
    data_dir: Path,
    *,
    offline: bool,
    given: Memory | None = None,
) -> Data:
    """Load a recipe's data, and let each technique check the study and prepare the data, in order.

    Args:
        recipe: the recipe.
        techniques: the techniques of the study.
        space: the study's hyperparameters.
        data_dir: the folder of the data sets that torchvision downloads.
        offline: whether to download nothing.
        given: data in memory.

    Raises:
        RequestError: the data cannot be loaded as asked (see `search.data.load`), or a technique cannot work here.
        EnvironmentFault: a file or a library is missing or damaged, or a download fails.
    """
    spec = recipe.data
    arguments: dict[str, Any] = {
        "target": spec.target,
        "scale": space.scales or spec.scale,
        "split": spec.split,
        "val": spec.val,
        "test": spec.test,
        "group": spec.group,
        "time": spec.time,
        "weights": spec.weights,
        "validation": spec.validation,
        "seed": spec.seed,
        "data_dir": data_dir,
        "offline": offline,
        "options": spec.options,
        "columns": spec.columns,
        "given": given,
    }
    if not spec.folds:
        return _prepared(load(spec.dataset, **arguments), techniques, space, recipe.loss)
    loaded = load_folds(spec.dataset, folds=spec.folds, repeats=spec.repeats, **arguments)
    folds = tuple(_prepared(fold, techniques, space, recipe.loss) for fold in loaded)
    return replace(folds[0], folds=folds)


def _prepared(data: Data, techniques: Sequence[Technique], space: Possible, loss: str | None) -> Data:
    if data.scales:
        by_scale = {scale: _prepared(one, techniques, space, loss) for scale, one in data.scales.items()}
        return replace(next(iter(by_scale.values())), scales=by_scale)
    loss = losses.named(loss, data)
    for technique in techniques:
        validate_study([technique], techniques, data, space, loss)
        if technique.prepare is not None and not is_never_active(technique, space):
            data = _prepare(technique, Context(data, techniques, space, loss))
    return data


def _prepare(technique: Technique, context: Context) -> Data:
    """Return the data as a technique prepares them, the same in every process.

    Raises:
        RequestError: it returns something else, or draws from a global generator.
    """
    prepare = technique.prepare
    assert prepare is not None
    before = SharedState.now(torch.device("cpu"))
    with _naming(technique):
        data = prepare(context.data, context)
    said = before.change(SharedState.now(torch.device("cpu")), BY_SEED)
    if not isinstance(data, Data):
        said = f"returns {type(data).__name__}, where the data are right: end it with `return data`"
    if said is not None:
        place = prepare.place if isinstance(prepare, Hook) else f"technique {technique.name!r}"
        raise RequestError(f"{place}: hook 'prepare' {said}")
    return data


def validate_study(
    checking: Sequence[Technique], techniques: Sequence[Technique], data: Data, space: Possible, loss: str
) -> None:
    """Let some of a study's techniques check the study.

    Args:
        checking: the techniques whose `check` is called.
        techniques: all techniques of the study.
        data: the data set on which the study trains.
        space: the study's hyperparameters.
        loss: the name of the training loss.

    Raises:
        RequestError: one of them cannot work in this study.
    """
    for technique in checking:
        if technique.edges is not None and data.pixel_max is not None and not is_never_active(technique, space):
            off = next((f", or leave it off: --set {name}=off" for name in technique.hyperparameters), "")
            raise RequestError(
                f"technique {technique.name!r} encodes columns of numbers, but {data.name} has pictures: give a table,"
                f" such as --dataset wine{off}"
            )
        if technique.check is not None and not is_never_active(technique, space):
            with _naming(technique):
                technique.check(Context(data, techniques, space, loss))


@contextmanager
def _naming(technique: Technique) -> Iterator[None]:
    """Turn a ValueError of a technique's hook into a RequestError that names the technique."""
    try:
        yield
    except TechniqueError:
        raise  # it names the technique's file
    except ValueError as error:
        raise RequestError(f"technique {technique.name!r}: {error}") from None
