"""What a technique is: hyperparameters, and pure functions that hook into training.

A technique is a value, not a subclass of the loop: a `Technique` holds its name, its hyperparameters and the hooks it
needs, each a pure function of tensors with leading dimension slots. Adding one is a file in `objectives/` that
defines `technique`; nothing else in the package names it.

    technique = Technique(
        name="l2",
        hyperparameters={"l2": Numeric(low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")},
        penalty=lambda weights, values: values["l2"] * weights.square().sum(1),
    )
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import Tensor

from search.errors import RequestError, clip, unknown

Value = float | int | str | bool


@dataclass(frozen=True)
class Numeric:
    """A real hyperparameter: in training a ``(slots,)`` tensor, so that slots may differ in it.

    Args:
        low, high, log: the range searched by default, and whether on a logarithmic scale. Without one the
            hyperparameter is fixed unless a study asks for a range.
        default: its value where it is fixed and no study says otherwise; `neutral` if not given.
        neutral: the value at which it does nothing; a study that fixes it there leaves its work out.
        minimum, maximum, above, below: what is allowed at all; the first two inclusive, the last two exclusive.
        stronger: the direction of stronger regularisation, if it has one.
        when: the values of other hyperparameters under which it exists, ``{"optimizer": ("sgd",)}``.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    default: float | None = None
    neutral: float | None = None
    minimum: float = -math.inf
    maximum: float = math.inf
    above: float = -math.inf
    below: float = math.inf
    stronger: Literal["up", "down"] | None = None
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def fixed(self) -> Value | None:
        return self.neutral if self.default is None else self.default

    def check(self, name: str, value: object) -> float:
        """The value as a float; raises RequestError, naming the rule, if it is not allowed."""
        # Compared with a float, not converted: a whole number may be too large for that.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
            raise RequestError(f"{name} takes a number, got {clip(repr(value))}")
        rules = [
            (value >= self.minimum, f">= {self.minimum:g}"),
            (value <= self.maximum, f"<= {self.maximum:g}"),
            (value > self.above, f"> {self.above:g}"),
            (value < self.below, f"< {self.below:g}"),
        ]
        for holds, rule in rules:
            if not holds:
                raise RequestError(f"{name} must be {rule}, got {value:g}")
        return float(value)


@dataclass(frozen=True)
class Structural:
    """A hyperparameter that shapes the computation: part of the signature, equal for all slots of a pack.

    Args:
        default: its value where a study does not search it; its type is the hyperparameter's type.
        choices: the values allowed; empty for a whole number of at least `minimum`, or a text that `parse` accepts.
        minimum, maximum: the whole numbers allowed.
        parse: turns a value into its standard form or raises ValueError, saying what is allowed.
        searched: whether a study searches the choices unless told otherwise.
        when: as for `Numeric`.
    """

    default: Value
    choices: tuple[Value, ...] = ()
    minimum: int = 1
    maximum: int = 10**9
    parse: Callable[[object], Value] | None = None
    searched: bool = False
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def fixed(self) -> Value | None:
        return self.default

    def check(self, name: str, value: object) -> Value:
        """The value in its standard form; raises RequestError, naming what is allowed, if it is not."""
        if self.parse is not None:
            try:
                return self.parse(value)
            except ValueError as error:
                raise RequestError(f"{name}: {error}, got {value!r}") from None
        if self.choices:
            if isinstance(value, str | bool | int | float):
                for choice in self.choices:
                    if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                        return choice
            raise unknown(f"value of {name}", str(value), map(str, self.choices))
        if isinstance(value, bool) or not isinstance(value, int) or value < self.minimum:
            raise RequestError(f"{name} takes a whole number >= {self.minimum}, got {clip(repr(value))}")
        if value > self.maximum:
            raise RequestError(f"{name} takes a whole number <= {self.maximum:,}, got {clip(repr(value))}")
        return value


Hyperparameter = Numeric | Structural
Values = Mapping[str, Tensor]


@dataclass(frozen=True)
class Technique:
    """One regulariser or training method: its hyperparameters and its hooks.

    In the hooks, `values` maps each numeric hyperparameter that the study uses to a ``(slots,)`` tensor, `weights` is
    ``slots x parameters`` (every trainable number of a slot, biases too; zeros where widths are padded).

    Args:
        penalty: added to the loss of each slot, ``(slots,)``, differentiable in the weights; not in `val_loss` (C8).
        gradient: changes the gradient ``slots x parameters`` in place, after the backward pass.
        project: changes the weights ``slots x parameters`` in place, after the optimiser's step.
        rate: factor on the learning rate, ``(slots,)``, of the step index (0-based) and the steps of one epoch.
    """

    name: str
    hyperparameters: Mapping[str, Hyperparameter]
    penalty: Callable[[Tensor, Values], Tensor] | None = None
    gradient: Callable[[Tensor, Tensor, Values], None] | None = None
    project: Callable[[Tensor, Values], None] | None = None
    rate: Callable[[int, int, Values], Tensor] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise RequestError(f"a technique's name is a text, got {self.name!r}")
        for name, declared in dict(self.hyperparameters).items():
            if not isinstance(name, str) or not isinstance(declared, Numeric | Structural):
                raise RequestError(f"technique {self.name!r}: {name!r} is neither Numeric nor Structural")


def discover() -> dict[str, Technique]:
    """Every technique in `objectives/`, by name: each public module there defines `technique`."""
    import objectives

    found = {}
    for module in pkgutil.iter_modules(objectives.__path__):
        technique = importlib.import_module(f"objectives.{module.name}").technique
        found[technique.name] = technique
    return found


def load_technique(path: Path) -> Technique:
    """The technique that a user's own file defines; the file is executed, so it is loaded only where it is named.

    Raises:
        RequestError: there is no such file, it fails when it is run, or it defines no `technique`.
    """
    spec = importlib.util.spec_from_file_location(f"regsearch_technique_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RequestError(f"--technique: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        # What the file prints is no part of a command's results.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise RequestError(f"--technique: {path} failed when it was run: {type(error).__name__}: {error}") from error
    technique = getattr(module, "technique", None)
    if not isinstance(technique, Technique):
        raise RequestError(f"--technique: {path} defines no `technique = Technique(...)`")
    return technique


def select(names: Sequence[str], outside: Sequence[Technique | Path | str]) -> list[Technique]:
    """The techniques of a study: those named, in that order, then those from outside that no name asks for.

    Raises:
        RequestError: a name that is neither in `objectives/` nor from outside, or a file that cannot be loaded.
    """
    given = [t if isinstance(t, Technique) else load_technique(Path(t)) for t in outside]
    packaged = discover()
    for technique in given:
        if technique.name in packaged:
            raise RequestError(f"technique {technique.name!r} is in the package already: give yours another name")
    known = packaged | {technique.name: technique for technique in given}
    for name in names:
        if name not in known:
            raise unknown("technique", name, known)
    return [known[name] for name in names] + [technique for technique in given if technique.name not in names]


def owners(techniques: Sequence[Technique]) -> dict[str, str]:
    """Each hyperparameter's owner; raises RequestError if two techniques own one name."""
    found: dict[str, str] = {}
    for technique in techniques:
        for name in technique.hyperparameters:
            if name in found:
                raise RequestError(
                    f"techniques {found[name]!r} and {technique.name!r} both own hyperparameter {name!r}"
                )
            found[name] = technique.name
    return found
