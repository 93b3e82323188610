"""The extensions of a study: decisions to widen a range, stored in the study because all who run it obey them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import optuna

EXTENSIONS = "extensions"
"""Study attribute: a list of `Extension`s, as dicts."""


@dataclass(frozen=True)
class Extension:
    """One range that was widened at one end.

    Attributes:
        ticket: the ticket of the first trial after the decision.
        name: the hyperparameter.
        low, high: the ends of its whole range from then on.
        trials: the number of trials that it adds to the budget.
    """

    ticket: int
    name: str
    low: float
    high: float
    trials: int

    @property
    def budget(self) -> int:
        """The total number of trials of the study after the extension."""
        return self.ticket + self.trials

    def __str__(self) -> str:
        more = f"{self.trials} more {'trial' if self.trials == 1 else 'trials'}"
        why = f"the best {self.name} lies at the edge of its range"
        return f"{why}: searching {self.low:.4g} to {self.high:.4g}, with {more}"


def store(study: optuna.Study, extensions: Sequence[Extension]) -> None:
    """Store all extensions of a study."""
    study.set_user_attr(EXTENSIONS, [asdict(extension) for extension in extensions])


def stored(attributes: Mapping[str, Any]) -> tuple[Extension, ...]:
    """Return the extensions in the user attributes of a study, in the order in which they were decided."""
    return tuple(Extension(**fields) for fields in attributes.get(EXTENSIONS, ()))
