"""What a search has decided, stored in the study: the chosen trial, its value on new rows, and what is as good.

`search.decide` makes it when a search ends. It holds for the trials that the study had then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from search.errors import counted
from search.record.own import finished, own
from search.show.interval import Interval
from search.show.text import enumerated, plain

DECISION = "decision"
"""Study attribute: the last decision, as `Decision.encode` returns it."""
_NAMED = 5


@dataclass(frozen=True)
class StrengthRange:
    """The strengths of a hyperparameter that cannot be told from the chosen one.

    Attributes:
        name: the hyperparameter.
        chosen: its value in the chosen trial; None if it is off there.
        low: the lowest strength that cannot be told, in the units of the hyperparameter.
        high: the highest one.
        bounded: whether a lower and a higher strength have been told to be worse.
        off: whether trials without it cannot be told either.
    """

    name: str
    chosen: float | None
    low: float
    high: float
    bounded: tuple[bool, bool]
    off: bool = False


@dataclass(frozen=True)
class Yardstick:
    """A simple predictor on the same rows.

    Attributes:
        name: what it is, in words.
        value: its objective.
        gain: by how much the chosen trial's objective is better, with its interval; None where it cannot be paired.
    """

    name: str
    value: float
    gain: Interval | None = None


@dataclass(frozen=True)
class Decision:
    """A decision about the trials of a study.

    Attributes:
        finished: the number of trials that the study had finished.
        objective: the name of the objective.
        best: the trial with the best objective in the search.
        chosen: the trial that is chosen.
        value: the objective of the chosen trial on rows that have not chosen it; None if there are too few rows.
        compared: the trials that were compared, by number, with the number of replicates of each.
        tied: those that cannot be told from the best one, the best ones first; the chosen trial is among them.
        reason: why no more replicates were trained.
        strengths: the ranges of strengths, by hyperparameter.
        yardsticks: simple predictors on the same rows.
        epochs: the number of epochs that were trained to decide.
        sentences: all of this as a person reads it, a line each.
    """

    finished: int
    objective: str
    best: int
    chosen: int
    value: Interval | None
    compared: Mapping[int, int]
    tied: Sequence[int]
    reason: str
    strengths: Sequence[StrengthRange] = ()
    yardsticks: Sequence[Yardstick] = ()
    epochs: int = 0
    sentences: Sequence[str] = ()

    @property
    def known(self) -> bool:
        """Whether every other trial that was compared is told to be worse."""
        return len(self.tied) == 1

    @property
    def named_tied(self) -> str:
        """The first trials that cannot be told apart, and how many others there are: ``22, 53, 31 and 2 others``."""
        more = [counted(len(self.tied) - _NAMED, "other")] if len(self.tied) > _NAMED else []
        return enumerated([*map(str, self.tied[:_NAMED]), *more])

    def encode(self) -> dict[str, Any]:
        """Return the decision as JSON can hold it."""
        fields: dict[str, Any] = plain(asdict(self))
        return fields | {"compared": {str(trial): count for trial, count in self.compared.items()}, "known": self.known}

    @classmethod
    def decode(cls, fields: Mapping[str, Any]) -> Decision:
        """Return the decision that `encode` has encoded."""
        own = {name: value for name, value in fields.items() if name != "known"}
        own["compared"] = {int(trial): count for trial, count in own["compared"].items()}
        own["value"] = None if own["value"] is None else _interval(own["value"])
        own["strengths"] = [_strengths(one) for one in own["strengths"]]
        own["yardsticks"] = [
            Yardstick(one["name"], float(one["value"]), None if one["gain"] is None else _interval(one["gain"]))
            for one in own["yardsticks"]
        ]
        return cls(**own)


def _interval(fields: Mapping[str, Any]) -> Interval:
    return Interval(**{name: float(value) for name, value in fields.items()})


def _strengths(fields: Mapping[str, Any]) -> StrengthRange:
    # JSON has no infinity, which is the weakest norm bound.
    numbers = {name: float(fields[name]) for name in ("chosen", "low", "high") if fields[name] is not None}
    return StrengthRange(**{**fields, **numbers, "bounded": tuple(fields["bounded"])})


def note(study: optuna.Study, decision: Decision) -> None:
    """Store a decision in the study."""
    study.set_user_attr(DECISION, decision.encode())


def kept(attributes: Mapping[str, Any], trials: Iterable[FrozenTrial]) -> Decision | None:
    """Return the decision about the trials that a study has now; None if it has decided nothing, or on other trials.

    Args:
        attributes: the attributes of the study.
        trials: its trials.
    """
    if DECISION not in attributes:
        return None
    decision = Decision.decode(attributes[DECISION])
    return decision if decision.finished == len(finished(own(trials))) else None
