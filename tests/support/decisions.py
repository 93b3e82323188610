"""Decisions of studies that are compared, whatever the numbers of their trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from search.record.contributions import CONTRIBUTIONS
from search.record.decision import DECISION


def renumbered(attributes: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """Return a study's attributes, in which trials that have not failed are numbered from 0 on.

    Args:
        attributes: the attributes of the study.
        trials: the trials that have not failed.
    """
    place = {trial.number: at for at, trial in enumerate(trials)}
    found: dict[str, Any] = {}
    for key, value in attributes.items():
        if key.startswith(CONTRIBUTIONS):
            found[f"{CONTRIBUTIONS}{place[int(key.removeprefix(CONTRIBUTIONS))]}"] = value
        else:
            found[key] = _renumbered(value, place) if key == DECISION else value
    return found


def _renumbered(decision: Mapping[str, Any], place: Mapping[int, int]) -> dict[str, Any]:
    """Return a decision without its sentences, which name numbers."""
    return {name: value for name, value in decision.items() if name != "sentences"} | {
        "best": place[decision["best"]],
        "chosen": place[decision["chosen"]],
        "compared": {place[int(number)]: count for number, count in decision["compared"].items()},
        "tied": [place[number] for number in decision["tied"]],
    }
