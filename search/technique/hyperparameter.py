"""What a hyperparameter is: numeric, a tensor over slots in training, or structural, part of the signature."""

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
    """A real hyperparameter: in training a ``(slots,)`` tensor, so that slots may differ in it.

    Args:
        low, high, log: the range searched by default, and whether on a logarithmic scale. Without one the
            hyperparameter is fixed unless a study asks for a range.
        default: its value where it is fixed and no study says otherwise; `neutral` if not given.
        neutral: the value at which it does nothing; a study that fixes it there leaves its work out.
        minimum, maximum, above, below: what is allowed at all; the first two inclusive, the last two exclusive. An
            infinite value is allowed only where it is the neutral one.
        whole: whether it takes whole numbers only, such as a patience in epochs.
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
    whole: bool = False
    stronger: Literal["up", "down"] | None = None
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def fixed(self) -> Value | None:
        return self.neutral if self.default is None else self.default

    def check(self, name: str, value: object) -> float:
        """The value as a float; raises RequestError, naming the rule, if it is not allowed."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise RequestError(f"{name} takes a number, got {clip(repr(value))}")
        # Compared with a float, not converted: a whole number may be too large for that.
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
    """A hyperparameter that shapes the computation: part of the signature, equal for all slots of a pack.

    Args:
        default: its value where a study does not search it; its type is the hyperparameter's type.
        choices: the values allowed; empty for a whole number of at least `minimum`, or a text that `parse` accepts.
        minimum, maximum: the whole numbers allowed.
        parse: turns a value into its standard form or raises ValueError, saying what is allowed.
        neutral: the value at which its technique does nothing, if there is one.
        searched: whether a study searches the choices unless told otherwise.
        when: as for `Numeric`.
    """

    default: Value
    choices: tuple[Value, ...] = ()
    minimum: int = 1
    maximum: int = 10**9
    parse: Callable[[object], Value] | None = None
    neutral: Value | None = None
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
