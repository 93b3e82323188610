"""What a decision says, in sentences for a person."""

from __future__ import annotations

from collections.abc import Mapping

from search.decide.race import KNOWN
from search.errors import counted
from search.record.decision import Decision, Span, StrengthRange, Yardstick
from search.show.text import assignments, enumerated, format_figures, number
from search.technique import Value
from search.train.metrics.objective import Objective

_NAMED = 5


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
            f" {_shown(decision.value)} is to be expected on new rows"
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
    more = [counted(len(decision.tied) - _NAMED, "other")] if len(decision.tied) > _NAMED else []
    tied = enumerated([*map(str, decision.tied[:_NAMED]), *more])
    return (
        f"{len(decision.tied)} of {compared} cannot be told apart ({tied}); chosen is {named}, {why}; {decision.reason}"
    )


def strength_sentence(one: StrengthRange) -> str:
    """Return what is known of the strength of a hyperparameter."""
    low, high = _short(one.low), _short(one.high)
    off = f", nor can a trial without {one.name}" if one.off and one.chosen is not None else ""
    chosen = "off" if one.chosen is None else _short(one.chosen)
    if not any(one.bounded):
        return f"{one.name}: {chosen}; this split cannot tell: anything from {low} to {high} may be as good{off}"
    return f"{one.name}: {chosen}; anything from {low} to {high} cannot be told from it{off}"


def _comparison(one: Yardstick, aim: Objective, chosen: int) -> str:
    """Return how the chosen trial compares with a linear model; the constant stands below the table of trials."""
    if one.gain is None:
        return ""
    text = f"for comparison, {one.name} on the same rows reaches {aim.name} {number(one.value)}"
    gain = _shown(one.gain)
    if one.gain.low > 0:
        return f"{text}: trial {chosen} is better by {gain}"
    if one.gain.high < 0:
        return f"{text}: trial {chosen} is WORSE, by {_shown(Span(-one.gain.value, -one.gain.high, -one.gain.low))}"
    return f"{text}, which trial {chosen} does not beat beyond chance: the gain is {gain}"


def _shown(span: Span) -> str:
    value, low, high = format_figures(span.value, span.low, span.high, digits=2)
    return f"{value} (95% CI {low} to {high})"


def _short(value: float) -> str:
    return assignments({"": value}).removeprefix("=")
