"""Decide what a study has found, when its search has ended.

    record --> candidates --> race --> choice, value, ranges of strengths --> yardsticks --> stored in the study

A decision is a pure function of the study's recipe and its finished trials. What was trained for it is kept, so that an
interrupted one goes on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from search.decide.candidates import Candidates
from search.decide.evidence import Evidence
from search.decide.gather import Gathering
from search.decide.race import LEVELS, race
from search.decide.sentences import sentences
from search.decide.strengths import strength_ranges
from search.decide.yardsticks import yardsticks
from search.record import decision as stored
from search.record.decision import Decision
from search.report import record
from search.show.interval import Interval
from search.storage import database
from search.study.chosen import decided
from search.study.progress import Log
from search.study.results import count_finished
from search.train.crew import one_thread
from search.train.metrics.objective import Objective

if TYPE_CHECKING:
    from search.study.study import BaseStudy


@one_thread()
def decide(study: BaseStudy, log: Log | None = None) -> Decision | None:
    """Decide which trial is chosen, what it is worth on new rows, and which strengths cannot be told from it.

    The decision is stored in the study, and is not made again for the same trials.

    Args:
        study: the study, whose search has ended.
        log: gets lines on what is trained; by default they are shown on stderr.

    Returns:
        The decision; None for a study of several objectives or without a feasible trial, or if its trials diverge when
        they are trained again.
    """
    known = decided(study)
    if known is not None or study.objectives.several:
        return known
    if study.best is None:
        return None
    read = record.read(study)
    candidates = Candidates.of(read)
    gathering = Gathering(study, read, candidates.places, log)
    finish = race(
        candidates,
        gathering,
        replicates=None if study.recipe.replicates == "auto" else study.recipe.replicates,
        tolerance=study.recipe.tolerance,
        budget=sum(entry.epochs for entry in read.finished) * study.recipe.networks,
    )
    if finish is None:
        return None
    evidence, aim = finish.evidence, study.objectives.first
    chosen = evidence.choice(finish.tied)
    if evidence.overlap is None and study.recipe.replicates == "auto":
        # With two replicates, the interval of its own value would be too wide to say anything.
        finalists = evidence.eligible
        gathering.add([chosen], max(LEVELS[-1], evidence.replicates(chosen)))
        evidence = replace(gathering.evidence(), finalists=finalists)
    decision = Decision(
        finished=count_finished(study),
        objective=aim.name,
        best=read.best.number,
        chosen=chosen,
        value=_value(evidence, chosen, aim),
        compared={trial: evidence.replicates(trial) for trial in sorted(evidence.cells)},
        tied=finish.tied,
        reason=finish.reason,
        strengths=strength_ranges(candidates, finish.tied, evidence.cells, chosen),
        yardsticks=yardsticks(study, evidence, chosen, log),
        epochs=gathering.epochs,
    )
    entry = next(entry for entry in read.complete if entry.number == chosen)
    said = sentences(decision, aim, entry.objective, read.judged_on, entry.params)
    decision = replace(decision, sentences=said)
    with database.faults(study.storage):
        stored.note(study.optuna_study, decision)
    return decision


def _value(evidence: Evidence, chosen: int, aim: Objective) -> Interval | None:
    """Return the value of the choice on rows that have not chosen it; None if there are too few rows or folds."""
    try:
        found = evidence.corrected(chosen)
    except ValueError:
        return None
    ends = sorted(float(aim.loss(one)) for one in evidence.interval(chosen, found))
    if aim.best is not None:
        # No trial is better than a perfect one.
        ends = [max(aim.best, ends[0]), ends[1]] if aim.direction == "minimize" else [ends[0], min(aim.best, ends[1])]
    return Interval(float(aim.loss(found.value)), *ends)
