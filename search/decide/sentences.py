"""What a decision says, in sentences for a person."""

from __future__ import annotations

from collections.abc import Mapping

from search.decide.race import KNOWN
from search.errors import counted
from search.record.decision import Decision, StrengthRange, Yardstick
from search.show.text import assignments, number, short
from search.technique import Value
from search.train.metrics.objective import Objective


def sentences(decision: Decision, aim: Objective, searched: float, rows: str, params: Mapping[str, Value]) -> list[str]:
    """Return what a person should know, a line each.

    Args:
        decision: the decision.
        aim: the objective.
        searched: the objective of the chosen trial in the search.
        rows: what measured it, such as ``359 validation rows``.
        params: the hyperparameters of the chosen trial.
    """
    lines = [_choice(decision, params)]
    if decision.value is not None:
        lines.append(
            f"{aim.name} of trial {decision.chosen}: {number(searched)} on the {rows} that also chose it;"
            f" {decision.value.in_words} is to be expected on new rows"
        )
    lines += [strength_sentence(one) for one in decision.strengths]
    lines += [line for one in decision.yardsticks if (line := _comparison(one, aim, decision.chosen))]
    return lines


def _choice(decision: Decision, params: Mapping[str, Value]) -> str:
    named = f"trial {decision.chosen} ({assignments(params)})" if params else f"trial {decision.chosen}"
    compared = f"{counted(len(decision.compared), 'trial')} that were compared"
    if decision.reason == KNOWN:
        if len(decision.compared) == 1:
            return f"chosen: {named}; no other trial was compared with it"
        return f"the winner is known: {named} is better than the others of {compared}"
    if len(decision.tied) == 1:
        return f"chosen: {named}, the best of {compared}"
    why = "the best by its mean"
    if decision.chosen != decision.tied[0]:
        why = "the most strongly regularised of those within the tolerance of the best"
    return (
        f"{len(decision.tied)} of {compared} cannot be told apart ({decision.named_tied}); chosen is {named}, {why};"
        f" {decision.reason}"
    )


def strength_sentence(one: StrengthRange) -> str:
    """Return what is known of the strength of a hyperparameter."""
    low, high = short(one.low), short(one.high)
    off = f", nor can a trial without {one.name}" if one.off and one.chosen is not None else ""
    chosen = "off" if one.chosen is None else short(one.chosen)
    if not any(one.bounded):
        return f"{one.name}: {chosen}; this split cannot tell: anything from {low} to {high} may be as good{off}"
    return f"{one.name}: {chosen}; anything from {low} to {high} cannot be told from it{off}"


def _comparison(one: Yardstick, aim: Objective, chosen: int) -> str:
    """Return how the chosen trial compares with a linear model; the constant stands below the table of trials."""
    if one.gain is None:
        return ""
    text = f"for comparison, {one.name} on the same rows reaches {aim.name} {number(one.value)}"
    gain = one.gain.in_words
    if one.gain.low > 0:
        return f"{text}: trial {chosen} is better by {gain}"
    if one.gain.high < 0:
        return f"{text}: trial {chosen} is WORSE, by {(-one.gain).in_words}"
    return f"{text}, which trial {chosen} does not beat beyond chance: the gain is {gain}"
