"""The first screen of a report: what the study found, how good that is, and what to do next."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import numpy as np

from search.errors import counted
from search.report.drawing import settings
from search.report.networks import HeldOut
from search.report.record import Record
from search.report.statistics import edges, one_standard_error
from search.report.strength import strengths, weakest


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
    text = f"Best of {among}: {settings(best, record.searched)}"
    choice = one_standard_error(record)
    if choice is not None and choice.chosen is not choice.best:
        return f"{text}; {settings(choice.chosen, record.searched)} is as good within one standard error."
    return f"{text}."


def _setting(record: Record) -> str:
    best = record.best
    rank = "the best in the first objective" if record.objectives.several else "the best"
    return f"trial {best.number}, {rank}: {settings(best, record.searched)}"


def _value(record: Record, held_out: HeldOut | None) -> str:
    best, aim = record.best, record.aim
    text = f"{aim.shown} {best.objective:.4g}"
    known = best.objectives[np.isfinite(best.objectives)]
    if len(known) > 1:
        text += f" (SD {known.std(ddof=1):.2g} over {len(known)} networks)"
    yardsticks = []
    if record.constant is not None:
        yardsticks.append(f"a constant prediction has {record.constant:.4g}")
    if strengths(record) and (least := weakest(record)) is not best:
        yardsticks.append(f"the least regularised complete trial {least.objective:.4g}")
    if yardsticks:
        text += f"; {' and '.join(yardsticks)}"
    if held_out is not None:
        low, high = held_out.interval
        metric = "accuracy" if record.metric == "val_accuracy" else "RMSE"
        rows = counted(len(held_out.truth), "test row")
        text += f". On {rows}: {metric} {held_out.score.mean():.4g}, 95% CI {low:.4g} to {high:.4g}"
    return f"{text}."


def _next(record: Record) -> str:
    found = [] if record.objectives.several else [edge for edge in edges(record) if not edge.limit]
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
