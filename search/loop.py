"""The search itself: ask for a cohort, train it from rung to rung, judge, tell; again until the budget is spent.

    ask --> pack --> epoch --> metrics --> rung: judge --> tell

Everything is counted in cohorts and epochs, never in seconds, slots or processes. So the trials, their states and
values follow from the recipe alone (contract C3, docs/design.md), and an interrupted study goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import TrialState

from search.choose.peers import PeerPruner
from search.record.curves import Curves
from search.record.feasible import INFEASIBLE
from search.record.objectives import Objectives, reported
from search.record.observer import Asked, Observer
from search.record.recorder import Recorder, Result
from search.technique import Value
from search.train.batches import Batches
from search.train.checkpoint import Checkpoints
from search.train.cohort import Cohort
from search.train.member import Member
from search.train.program import Program

_LOOK_AGAIN = 0.5  # seconds until the next look for trials of other processes: they are adopted if their process dies


class Cohorts(Protocol):
    """The source of cohorts; see `search.choose.asking.Asker`."""

    study: optuna.Study
    objectives: Objectives
    recorder: Recorder

    def next_cohort(self) -> tuple[int, list[Asked]] | None: ...


class Programs(Protocol):
    """The programs that train trials, by the trials' values; equal signatures give the same object."""

    def program(self, values: Mapping[str, Value]) -> Program: ...

    def numeric(self, values: Mapping[str, Value]) -> dict[str, float]: ...


def search(
    asker: Cohorts,
    programs: Programs,
    pruner: PeerPruner,
    batches: Batches,
    *,
    replicates: int,
    width: int,
    checkpoints: Checkpoints,
    observer: Observer,
) -> None:
    """Train cohorts until the asker has no more. The results of one are written while the next ones train."""
    with asker.recorder.running(observer.told):
        while (cohort_asked := asker.next_cohort()) is not None:
            asker.recorder.report()
            index, asked = cohort_asked
            if not asked:
                observer.epoch(())
                time.sleep(_LOOK_AGAIN)
                continue
            members = [
                Member(one.number, programs.program(one.values), programs.numeric(one.values), replicates)
                for one in asked
            ]
            cohort = Cohort(members, batches, width, checkpoints.load(index, {one.number: one for one in members}))
            run = _Run(asker, index, {one.number: one.trial for one in asked}, observer, pruner.rungs())
            # Another process may have adopted the cohort, and told its trials first.
            with suppress(UpdateFinishedTrialError):
                observer.asked(asked)
                run.through(cohort, pruner, checkpoints)
            width = cohort.width


@dataclass
class _Run:
    """The training of one cohort, as Optuna and the observer see it."""

    asker: Cohorts
    index: int
    trials: Mapping[int, optuna.Trial]
    observer: Observer
    rungs: Collection[int]
    finished: set[int] = field(default_factory=set)

    def through(self, cohort: Cohort, pruner: PeerPruner, checkpoints: Checkpoints) -> None:
        """Train a cohort from rung to rung, and to the end."""
        for rung in pruner.rungs():
            self.train(cohort, rung)
            self.finish_ended(cohort)
            pruned = self.judge(cohort, pruner, rung)
            self.tell(cohort, pruned, TrialState.PRUNED)
            cohort.drop(pruned)
            if not cohort.training:
                break
            checkpoints.save(self.index, cohort)
        self.train(cohort, max((member.program.epochs for member in cohort.members.values()), default=0))
        self.finish_ended(cohort)
        self.asker.recorder.then(partial(checkpoints.forget, self.index))

    def train(self, cohort: Cohort, epoch: int) -> None:
        with closing(cohort.advance(epoch)) as epochs:
            for completed in epochs:
                self.observer.epoch(completed)
                self.asker.recorder.report()

    def judge(self, cohort: Cohort, pruner: PeerPruner, rung: int) -> list[int]:
        """Report the objectives so far and return the trials to prune; a verdict that is stored already is obeyed."""
        study, recorder = self.asker.study, self.asker.recorder
        alive = [number for number in cohort.members if number not in self.finished]
        with recorder.pause():
            known = {t.number: t for t in recorder.trials() if t.number in alive}
            for number in alive:
                if rung not in reported(known[number]):
                    self.asker.objectives.report(self.trials[number], rung, Curves(*cohort.members[number].table()))
            key = f"verdict:{self.index}:{rung}"
            stored = study.user_attrs.get(key)
            if stored is None:
                verdicts = pruner.verdicts(recorder.trials(), self.index, rung)
                stored = [number for number, survives in sorted(verdicts.items()) if not survives]
                study.set_user_attr(key, stored)
        return [number for number in alive if number in stored]

    def finish_ended(self, cohort: Cohort) -> None:
        """Tell the trials that have trained to their end, or diverged."""
        ended = {number for number, member in cohort.members.items() if member.ended}
        self.tell(cohort, ended - self.finished, TrialState.COMPLETE)

    def tell(self, cohort: Cohort, numbers: Collection[int], state: TrialState) -> None:
        """Have the record of each trial written, then its result, so that every finished trial has its curves."""
        for number in sorted(numbers):
            member = cohort.members[number]
            curves = Curves(*member.table())
            values = self.asker.objectives.of(curves)
            finite = bool(np.isfinite(values).all())
            violations = self.asker.objectives.violations(curves, member.program.layout.trainable)
            outcome, constraints = (
                (state, violations) if finite else (TrialState.PRUNED, violations | {INFEASIBLE: 1.0})
            )
            aim = self.asker.objectives.first
            rungs = None if self.asker.objectives.several else self.rungs
            trial, times = self.trials[number], member.times
            result = Result(trial, self.index, curves, times, outcome, values, constraints, aim, rungs)
            self.asker.recorder.add(result)
            self.finished.add(number)
