"""What a report says of the decision of a study: the choice, the strengths that are as good, and a linear model."""

from __future__ import annotations

from search.errors import counted
from search.record.decision import Decision, StrengthRange, Yardstick
from search.report.drawing import settings
from search.report.record import Record
from search.report.statement import Statement
from search.show.figure_style import number
from search.show.interval import Interval
from search.show.text import enumerated


def describe(record: Record, decision: Decision) -> list[Statement]:
    """Return the statements about a decision."""
    statements = [Statement("choice", _choice(record, decision))]
    if decision.strengths:
        statements.append(_how_strong(record, decision))
    statements += [_against(record, one, one.gain) for one in decision.yardsticks if one.gain is not None]
    return statements


def as_good(one: StrengthRange) -> str:
    """Return the strengths that cannot be told from the chosen one, ``l2 from 0.0001 to 0.01``."""
    off = ", or off," if one.off and one.chosen is not None else ""
    return f"{one.name} from {number(one.low)} to {number(one.high)}{off}"


def why_not_best(record: Record, decision: Decision) -> str:
    """Return why a trial is chosen that is not the best one of the search; "" if it is the best one."""
    best, chosen = record.best, record.chosen
    if chosen is best:
        return ""
    text = f"trial {best.number} has the {record.aim.superlative} {record.aim.shown} of the search"
    text += f", {best.objective:.4g}, but over more replicates trial {chosen.number}"
    if chosen.number == decision.tied[0]:
        return f"{text} has the best mean"
    return f"{text} is as good within the tolerance, and more strongly regularised"


def _choice(record: Record, decision: Decision) -> str:
    chosen = record.chosen
    named = f"Trial {chosen.number} ({settings(chosen, record.searched)})"
    count, tied = len(decision.compared), len(decision.tied)
    compared = f"{counted(count, 'trial')} that were compared"
    if count == 1:
        text = f"{named} is chosen. No other trial was compared with it."
    elif decision.known:
        text = f"{named} is chosen: it is told to be better than all others of the {compared}."
    else:
        which = f"All {compared}" if tied == count else f"{tied} of the {compared}"
        text = f"{which} cannot be told apart: {decision.named_tied}."
        text += f" {named} is chosen. No more replicates were trained, because {decision.reason}."
    if why := why_not_best(record, decision):
        text += f" {why[:1].upper()}{why[1:]}."
    if decision.value is not None:
        text += f" On new rows, the {record.aim.shown} of trial {chosen.number} is expected to be"
        text += f" {decision.value.in_words}."
    return text


def _how_strong(record: Record, decision: Decision) -> Statement:
    untold = [one.name for one in decision.strengths if not any(one.bounded)]
    text = " ".join(_strength(record, one) for one in decision.strengths)
    if untold:
        text += f" The {record.judged_on} cannot tell how strong {enumerated(untold)} should be."
        # A cross-validation judges on all rows already.
        text += " More rows would help" + ("." if record.overlap else ", or a cross-validation with --folds.")
    return Statement("how strong", text, warning=bool(untold))


def _strength(record: Record, one: StrengthRange) -> str:
    low, high = (
        number(end) if told else f"{number(end)}, the {which} value of its range,"
        for end, told, which in zip((one.low, one.high), one.bounded, ("lowest", "highest"), strict=True)
    )
    chosen = "off" if one.chosen is None else number(one.chosen)
    text = f"In trial {record.chosen.number}, {one.name} is {chosen}; anything from {low} to {high} cannot be told from"
    text += " it"
    if one.off and one.chosen is not None:
        text += f", nor can a trial without {one.name}"
    return f"{text}."


def _against(record: Record, one: Yardstick, gain: Interval) -> Statement:
    name = f"{one.name[:1].upper()}{one.name[1:]}"
    text = f"{name} reaches a {record.aim.shown} of {one.value:.4g} on the same rows. Trial {record.chosen.number}"
    if gain.low > 0:
        return Statement("linear model", f"{text} is better by {gain.in_words}.")
    if gain.high < 0:
        text += f" is worse by {(-gain).in_words}."
    else:
        text += f" does not beat it beyond chance: the gain is {gain.in_words}."
    text += " Prefer the linear model, which is simpler: regsearch run l2 --set hidden=0 searches one."
    return Statement("linear model", text, warning=True)
