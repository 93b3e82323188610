"""The two kinds of hyperparameter: numeric (a tensor over slots) and structural (part of a trial's signature)."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from search.errors import RequestError, clip, unknown

Value = float | int | str | bool


@dataclass(frozen=True)
class Numeric:
    """A real-valued hyperparameter. In training it is a ``(slots,)`` tensor, so each slot may have its own value.

    Args:
        low, high, log: the range that is searched by default, and whether it is searched on a logarithmic scale.
            Without a range the hyperparameter is fixed, unless a study gives it one.
        default: the value where the hyperparameter is fixed and the study gives none; defaults to `neutral`.
        neutral: the value at which the technique does nothing, or, if several of its hyperparameters have a neutral
            value, the value at which this one adds nothing. A trial with all of them there is trained without the
            technique, whatever its other hyperparameters are.
        minimum, maximum: the inclusive bounds of an allowed value.
        above, below: the exclusive bounds of an allowed value. An infinite value is allowed only if it is `neutral`.
        whole: whether only whole numbers are allowed, as for a patience in epochs.
        stronger: the direction in which the regularisation grows stronger, if there is one.
        when: the condition for the hyperparameter to exist, as values of others: ``{"optimizer": ("sgd",)}``.
        later: whether studies may have been stored before it was declared. At its default it is then left out of a
            study's identity, so that those studies open as before. It must have no range of its own.
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
    whole: bool = False
    stronger: Literal["up", "down"] | None = None
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    later: bool = False

    @property
    def fixed(self) -> Value | None:
        """The value where nothing else is given, or None if there is none."""
        return self.neutral if self.default is None else self.default

    def validate(self, name: str, value: object) -> float:
        """Return the value as a float, or as an int if it must be whole.

        Raises:
            RequestError: the value is not allowed; the message states the rule.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RequestError(f"{name} takes a number, got {clip(repr(value))}")
        # Python compares an int of any size with a float, but it cannot convert every int to one.
        if not abs(value) <= sys.float_info.max and value != self.neutral:
            raise RequestError(f"{name} takes a number, got {clip(repr(value))}")
        if self.whole and math.isfinite(value) and value != math.floor(value):
            raise RequestError(f"{name} takes a whole number, got {value:g}")
        rules = [
            (value >= self.minimum, f">= {self.minimum:g}"),
            (value <= self.maximum, f"<= {self.maximum:g}"),
            (value > self.above, f"> {self.above:g}"),
            (value < self.below, f"< {self.below:g}"),
        ]
        for holds, rule in rules:
            if not holds and value != self.neutral:
                raise RequestError(f"{name} must be {rule}, got {value:g}")
        return int(value) if self.whole and math.isfinite(value) else float(value)


@dataclass(frozen=True)
class Structural:
    """A hyperparameter that shapes the computation. All slots of a pack share its value.

    Args:
        default: the value where the study does not search it. Its type is the hyperparameter's type.
        choices: the allowed values. If empty, any whole number from `minimum` to `maximum` is allowed, or any text
            that `parse` accepts.
        minimum, maximum: the smallest and the largest whole number allowed.
        parse: a function that turns a value into its standard form, or raises ValueError with the rule.
        neutral: the value at which the technique does nothing, if there is one.
        searched: whether a study searches the choices by default, or those of them that it searches.
        when: the condition for the hyperparameter to exist, as in `Numeric`.
        later: whether studies may have been stored before it was declared, as in `Numeric`.
    """

    default: Value
    choices: tuple[Value, ...] = ()
    minimum: int = 1
    maximum: int = 10**9
    parse: Callable[[object], Value] | None = None
    neutral: Value | None = None
    searched: bool | tuple[Value, ...] = False
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    later: bool = False

    @property
    def fixed(self) -> Value | None:
        """The value where nothing else is given."""
        return self.default

    def validate(self, name: str, value: object) -> Value:
        """Return the value in its standard form.

        Raises:
            RequestError: the value is not allowed; the message states what is.
        """
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
