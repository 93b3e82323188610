"""The result of an ablation, stored in the study so that a report can show it.

Which techniques of a trial mattered is measured by `search.ablate`. A study keeps the last result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from search.show.text import plain
from search.technique import Value

ABLATION = "ablation"
"""Study attribute: the last result, as `Ablated.encode` returns it."""

LEVEL = 0.05
"""The adjusted p value below which a difference is told."""
HELPS, HURTS, WOULD_HELP, WOULD_HURT, UNDECIDED = "helps", "hurts", "would help", "would hurt", "no difference told"
"""The verdicts on a technique: two for those that the trial uses, two for those that it does not use, and neither."""


@dataclass(frozen=True)
class Measured:
    """A difference of the objective with its uncertainty.

    Attributes:
        value: the difference.
        low: the low end of its own 95% interval.
        high: the high end.
        p: its two-sided p value.
        adjusted: the p value adjusted for all techniques, or all pairs (Holm), by which the verdict is.
        of_rows: the share of its variance that is due to which rows validate.
    """

    value: float
    low: float
    high: float
    p: float
    adjusted: float
    of_rows: float


@dataclass(frozen=True)
class Effect:
    """What switching one technique changes.

    Attributes:
        technique: the name of the technique.
        used: whether the trial uses it, so that the variant is without it; otherwise the variant is with it.
        at: its hyperparameters where it is on.
        origin: the trial that these are from; None if the user gave them.
        objective: the objective of the variant; None if a network of it never had a finite loss.
        difference: that of the variant minus that of the trial; None likewise.
        diverged: how many networks of the variant never had a finite loss.
        verdict: one of the verdicts above.
        sentence: the verdict with its numbers.
    """

    technique: str
    used: bool
    at: Mapping[str, Value]
    origin: int | None
    objective: float | None
    difference: Measured | None
    diverged: int
    verdict: str
    sentence: str

    @property
    def variant(self) -> str:
        """The variant in a few words."""
        return f"without {self.technique}" if self.used else f"with {self.technique}"


@dataclass(frozen=True)
class Interaction:
    """What two techniques do together beyond what each does alone.

    Attributes:
        techniques: the names of the two.
        variant: the variant with both switched, in a few words.
        objective: its objective; None if a network of it never had a finite loss.
        both: its objective minus that of the trial; None likewise.
        difference: the interaction: the objective with neither, minus with one alone, minus with the other alone, plus
            with both; None if a network of one of these variants never had a finite loss.
        told: whether it is told apart from no interaction.
        sentence: what that says.
    """

    techniques: tuple[str, str]
    variant: str
    objective: float | None
    both: Measured | None
    difference: Measured | None
    told: bool
    sentence: str


@dataclass(frozen=True)
class Ablated:
    """The result of an ablation.

    Attributes:
        study: the name of the study.
        trial: the number of the trial.
        metric: the name of the objective.
        label: what sentences and axes call it, with its unit.
        direction: whether less or more of it is better, "minimize" or "maximize".
        objective: the objective of the trial on fresh replicates, in the unit of `label`.
        networks: the number of networks of the trial and of each variant.
        counts: what a mean is over, such as "10 fresh replicates, 36 validation rows".
        headline: the verdicts in one sentence.
        effects: the effect of each technique, the most helpful first.
        interactions: the pairs of the strongest techniques.
        notes: what a reader should know, a line each.
    """

    study: str
    trial: int
    metric: str
    label: str
    direction: str
    objective: float
    networks: int
    counts: str
    headline: str
    effects: Sequence[Effect]
    interactions: Sequence[Interaction]
    notes: Sequence[str]

    def encode(self) -> dict[str, Any]:
        """Return the result as JSON can hold it."""
        content: dict[str, Any] = _plain(asdict(self))
        return content

    @classmethod
    def decode(cls, content: Mapping[str, Any]) -> Ablated:
        """Return the result from what `encode` returned."""

        def measured(one: Mapping[str, Any]) -> dict[str, Any]:
            found = {name: one[name] for name in ("both", "difference") if one.get(name) is not None}
            return {**one, **{name: Measured(**numbers) for name, numbers in found.items()}}

        effects = [Effect(**measured(one)) for one in content["effects"]]
        pairs = [
            Interaction(**measured(one) | {"techniques": tuple(one["techniques"])}) for one in content["interactions"]
        ]
        return cls(**{**content, "effects": effects, "interactions": pairs})


def _plain(value: Any) -> Any:
    """Return nested dicts and sequences as JSON can hold them."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else plain(value)


def keep(study: optuna.Study, result: Ablated) -> None:
    """Store a result in the study, in place of an earlier one."""
    study.set_user_attr(ABLATION, result.encode())


def kept(attributes: Mapping[str, Any]) -> Ablated | None:
    """Return the result in a study's attributes, if there is one."""
    return Ablated.decode(attributes[ABLATION]) if ABLATION in attributes else None
