"""What a study asks of its split: the shares or files of the parts, the columns that bind rows, folds and repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from search.errors import RequestError, clip, unknown

VALIDATIONS = ("train", "half-of-test", "test")

Part = str | float | None
"""A part as it is asked for: the path of a file, a fraction of all rows, or None for the share in `split`."""


@dataclass(frozen=True)
class Rules:
    """The rules of a split; `search.data.load` explains each.

    Attributes:
        split: the shares of training, validation and test rows.
        val, test: a fraction of all rows or a file instead of the share; a test of 0 leaves the part out.
        validation: the source of the validation rows.
        seed: the seed of every random choice.
        group, time, weights: the names of columns (or of arrays in an .npz file), or None.
        folds, repeats: the folds of a cross-validation and how often it is repeated; 0 folds for a single split.

    Raises:
        RequestError: a value is out of range, or two of them contradict each other.
    """

    split: Sequence[float] = (0.6, 0.2, 0.2)
    val: Part = None
    test: Part = None
    validation: str = "train"
    seed: int = 0
    group: str | None = None
    time: str | None = None
    weights: str | None = None
    folds: int = 0
    repeats: int = 1
    shares: tuple[float, float, float] = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise RequestError(f"seed must be a whole number >= 0, got {self.seed!r}")
        if self.validation not in VALIDATIONS:
            raise unknown("validation", self.validation, VALIDATIONS)
        object.__setattr__(self, "shares", self._shares())
        roles = [(name, value) for name, value in self.roles.items() if value is not None]
        for number, (name, value) in enumerate(roles):
            for other, same in roles[:number]:
                if value == same:
                    raise RequestError(f"{other} and {name} are both column {clip(value)!r}: each needs its own")
        if self.validation != "train":
            for name, given in {**self.roles, "val": self.val, "test": self.test, "folds": self.folds or None}.items():
                if given is not None and name != "weights":
                    raise RequestError(
                        f"validation {self.validation!r} takes its rows from the official test rows, so {name} has no"
                        " place: use validation 'train'"
                    )
        self._validate_folds()

    @property
    def roles(self) -> Mapping[str, str | None]:
        """The columns with a role of their own."""
        return {"group": self.group, "time": self.time, "weights": self.weights}

    @property
    def files(self) -> Mapping[str, str]:
        """The parts that are files: "val" and "test" to their paths."""
        return {name: part for name, part in (("val", self.val), ("test", self.test)) if isinstance(part, str)}

    @property
    def without_test(self) -> bool:
        """Whether the test part is left out."""
        return self.test is not None and not isinstance(self.test, str) and self.test == 0

    def _shares(self) -> tuple[float, float, float]:
        """Return the shares of the data set's own rows; a part that is a file takes none of them."""
        _, val, test = validate_shares(self.split)
        val, test = _share("val", self.val, val), _share("test", self.test, test)
        if val + test >= 1:
            raise RequestError(f"val takes {val:g} and test {test:g} of all rows, which leaves none to train on")
        return 1 - val - test, val, test

    def _validate_folds(self) -> None:
        for name, value, least in (("folds", self.folds, 0), ("repeats", self.repeats, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RequestError(f"{name} must be a whole number >= {least}, got {value!r}")
        if self.folds == 1:
            raise RequestError("folds must be 0 (one split) or at least 2, got 1")
        if self.folds and self.val is not None:
            raise RequestError("folds take turns as validation rows, so val has no place: leave out val or folds")
        if self.repeats > 1 and not self.folds:
            raise RequestError(f"repeats needs folds, got {self.repeats} repeats of one split")
        if self.repeats > 1 and self.time is not None:
            raise RequestError("folds by time are the same in every repeat: use repeats 1")


def validate_shares(split: Sequence[float]) -> tuple[float, float, float]:
    """Return the shares of training, validation and test rows.

    Raises:
        RequestError: these are not three positive numbers, or their sum is not 1 within 1e-6.
    """
    shares = tuple(split)
    numbers = all(isinstance(share, Real) and not isinstance(share, bool) for share in shares)
    if len(shares) != 3 or not numbers or not all(0 < share < math.inf for share in shares):
        raise RequestError(f"split must be three positive shares (train, validation, test), got {shares}")
    if abs(sum(shares) - 1) > 1e-6:
        raise RequestError(f"split must sum to 1 (train, validation, test), got {shares}, which sum to {sum(shares):g}")
    train, val, test = shares
    return float(train), float(val), float(test)


def _share(name: str, asked: Any, default: float) -> float:
    """Return the share of a part: what is asked, the default, or 0 for a file."""
    if asked is None:
        return default
    if isinstance(asked, str):
        if not asked:
            raise RequestError(f"{name} takes a file or a fraction of all rows, got ''")
        return 0.0
    number = isinstance(asked, Real) and not isinstance(asked, bool)
    if not number or not (0 if name == "test" else 1e-12) <= asked < 1:
        range_ = "[0, 1), where 0 means no test part" if name == "test" else "(0, 1)"
        raise RequestError(f"{name} takes a file or a fraction of all rows in {range_}, got {asked!r}")
    return float(asked)
