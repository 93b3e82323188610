"""The first screen of a report: what the study found, how good that is, and what to do next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np

from search.errors import counted
from search.report import decided
from search.report.drawing import settings
from search.report.networks import HeldOut
from search.report.record import Record
from search.report.statistics import edges, one_standard_error
from search.report.strength import strengths, weakest
from search.show.text import enumerated


@dataclass(frozen=True)
class Answer:
    """The answer in a sentence, and in three lines.

    Attributes:
        sentence: what the study found.
        setting: the chosen setting.
        value: its value, with an interval where one is known, and what to compare it with.
        next: what to do next.
    """

    sentence: str
    setting: str
    value: str
    next: str


def answer(record: Record, held_out: HeldOut | None = None) -> Answer:
    """Return the answer of a study with at least two complete trials."""
    return Answer(_sentence(record), _setting(record), _value(record, held_out), _next(record))


def _sentence(record: Record) -> str:
    best, complete = record.best, len(record.complete)
    if record.objectives.several:
        ends = [settings(one, record.searched) for one in (record.front[0], record.front[-1])]
        if len(record.front) == 1:
            return f"One of {complete} complete trials is the best in every objective: {ends[0]}."
        return f"{len(record.front)} of {complete} complete trials are a choice to make: from {ends[0]} to {ends[1]}."
    among = counted(complete, "complete trial")
    if record.objectives.constraints:
        among = f"{len(record.feasible)} of {among}, those that meet the constraints"
    if best.violates:
        among = f"{counted(complete, 'complete trial')}, none of which meets the constraints"
    if record.decision is not None:
        chosen = record.chosen
        text = f"{'Best of' if chosen is best else 'Chosen among'} {among}: {settings(chosen, record.searched)}"
        ranges = [decided.as_good(one) for one in record.decision.strengths]
        return f"{text}; {enumerated(ranges)} cannot be told from it." if ranges else f"{text}."
    text = f"Best of {among}: {settings(best, record.searched)}"
    choice = one_standard_error(record)
    if choice is not None and choice.chosen is not choice.best:
        return f"{text}; {settings(choice.chosen, record.searched)} is as good within one standard error."
    return f"{text}."


def _setting(record: Record) -> str:
    chosen = record.chosen
    rank = "the best in the first objective" if record.objectives.several else "the best"
    why = "" if record.decision is None else decided.why_not_best(record, record.decision)
    if why:
        return f"trial {chosen.number}, chosen: {settings(chosen, record.searched)}; {why}"
    return f"trial {chosen.number}, {rank}: {settings(chosen, record.searched)}"


def _value(record: Record, held_out: HeldOut | None) -> str:
    chosen, aim = record.chosen, record.aim
    text = f"{aim.shown} {chosen.objective:.4g}"
    known = chosen.objectives[np.isfinite(chosen.objectives)]
    if len(known) > 1:
        text += f" (SD {known.std(ddof=1):.2g} over {len(known)} networks)"
    yardsticks = []
    if record.decision is not None:
        if record.decision.value is not None:
            text += f" on the {record.judged_on} that chose it; {record.decision.value.in_words} on new rows"
        yardsticks = [f"{one.name} has {one.value:.4g}" for one in record.decision.yardsticks if one.gain is not None]
    if record.constant is not None:
        yardsticks.append(f"a constant prediction has {record.constant:.4g}")
    if strengths(record) and (least := weakest(record)) is not chosen:
        yardsticks.append(f"the least regularised complete trial {least.objective:.4g}")
    if yardsticks:
        text += f"; {enumerated(yardsticks)}"
    if held_out is not None:
        low, high = held_out.interval
        metric = "accuracy" if record.metric == "val_accuracy" else "RMSE"
        rows = counted(len(held_out.truth), "test row")
        # The best trial is what the test split is read for, also where another one is chosen.
        whose = "" if chosen is record.best else f", trial {record.best.number}"
        text += f". On {rows}{whose}: {metric} {held_out.score.mean():.4g}, 95% CI {low:.4g} to {high:.4g}"
    return f"{text}."


def _next(record: Record) -> str:
    found = [] if record.objectives.several else [edge for edge in edges(record) if not edge.limit]
    # A chosen trial that does not lie at an edge is as good as the best one there, so beyond it is little to gain.
    chosen = {(edge.name, edge.end) for edge in edges(record, record.chosen)}
    found = [edge for edge in found if (edge.name, edge.end) in chosen]
    if found:
        return found[0].warning(extends=(found[0].name, found[0].end) not in record.fixed_ends)
    # Whoever reads the page may have installed the command elsewhere.
    name = shlex.quote(record.study)
    if record.objectives.several:
        return f"Choose a trial of the front, and take it with: regsearch export {name} --trial N."
    export = f"regsearch export {name} --refit"
    if record.replicates == 1:
        whether = f"Whether it beats another study, only more networks can say: regsearch compare {name} OTHER."
        return f"Take it with {export}. {whether}"
    return f"Take it with {export}."
