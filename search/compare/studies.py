"""Compare studies by their chosen trials: each is trained on fresh replicates and tested.

    best complete trial of each study --> fresh replicates, the same for all --> networks at their best epochs
    --> loss and correctness of every test example --> differences, paired by replicate and example

A trial is chosen from many because it did well on its replicates, so its value there is too optimistic. It is therefore
trained anew on replicates that no search has used. All trials have the same fresh replicates under one seed, whatever
the seeds of their studies were: common random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from search.compare import scoring
from search.compare.across_folds import AcrossFolds
from search.compare.arms import measure
from search.compare.pairs import Arm, Shared
from search.compare.verdict import Comparison
from search.data import Data
from search.errors import RequestError
from search.recipe.cautions import cautions
from search.recipe.schema import DataSet
from search.record.curves import CELL
from search.record.feasible import described, violated
from search.record.own import finished, own_trials
from search.show.text import trial_name
from search.study.progress import Log
from search.study.retrain import Retraining, complete_trial, retrain
from search.study.study import BaseStudy
from search.technique import Technique
from search.train.crew import one_thread
from search.train.pack import Pack
from search.train.program import Program

FRESH = 1000
"""The number of the first fresh replicate. The replicates of a search are numbered from 0 and are at most 1,000."""

REPLICATES = 10
_FEW = 5
_ROUNDING = 1e-4
_PARTS = [f"{kind}_{part}" for part in ("train", "val", "test") for kind in "xyw"]


@dataclass(frozen=True)
class _Entry:
    """A study with its chosen trial, and how that is trained."""

    study: BaseStudy
    trial: FrozenTrial
    retraining: Retraining

    @property
    def program(self) -> Program:
        return self.retraining.program

    @property
    def label(self) -> str:
        """The name of the trial in sentences: the name of its setting or its hyperparameters, and where it is from."""
        cell, labels = self.trial.user_attrs.get(CELL), self.study.recipe.setting_labels
        named = labels[cell] if labels and cell is not None else ""
        setting = named or trial_name(self.trial.number, self.trial.params).partition(" ")[2]
        return f"{setting} ({self.study.name}, trial {self.trial.number})"


@one_thread()
def compare_studies(
    *studies: BaseStudy, replicates: int = REPLICATES, score: str | None = None, log: Log | None = None
) -> Comparison:
    """Compare the chosen trials of two or more studies on their test split; each study counts the reading.

    Args:
        studies: studies on the same data and split, each with a complete trial.
        replicates: the number of fresh replicates of each trial.
        score: the metric that verdicts are on, such as "val_f1". By default it is the objective of the studies, if they
            share one and it is not the loss, or else accuracy or RMSE.
        log: gets lines on what is trained; by default they are shown on stderr.

    Raises:
        RequestError: the studies can't be compared, there is no such metric, or a trial diverges on a fresh replicate.
            Then no test split has been read.
    """
    validate_studies(studies, replicates)
    scored = scoring.choose(studies, score)
    if folds := len(studies[0].data.folds):
        scored = AcrossFolds(scored, studies[0].data)
        replicates = -(-replicates // folds) * folds
    entries = _entries(studies, replicates)
    networks = _networks(entries, replicates, log)
    arms = [measure(one.study, one.trial, one.label, networks[place], scored) for place, one in enumerate(entries)]
    shared = {(a.study.name, b.study.name): _shared(a, b) for a, b in combinations(entries, 2)}
    notes = _notes(entries, arms, replicates)
    scales = [entry.study.data.targets for entry in entries]
    same_loss = len({entry.study.loss for entry in entries}) == 1 and all(
        one is None or (scales[0] is not None and torch.equal(one.scale, scales[0].scale)) for one in scales
    )
    if not same_loss:
        notes.append("the studies measure the loss differently, so their losses are not compared")
    return Comparison.of(scored, arms, shared, notes, same_loss=same_loss)


def validate_studies(studies: Sequence[BaseStudy], replicates: int) -> None:
    """Refuse studies that can't be compared, before anything is trained.

    Raises:
        RequestError: fewer than two replicates or studies, one study twice, different data, or too few test rows.
    """
    if replicates < 2:
        raise RequestError(f"replicates must be >= 2, got {replicates}: one says nothing about how they vary")
    if len(studies) < 2:
        raise RequestError(f"a comparison needs at least two studies, got {len(studies)}")
    names = [study.name for study in studies]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RequestError(f"study {twice[0]!r} is named twice: a comparison needs different studies")
    first = studies[0]
    for other in studies[1:]:
        if field := _difference(first.recipe.data, first.data, other.recipe.data, other.data):
            raise RequestError(
                f"studies {first.name!r} and {other.name!r} differ in {field}: "
                "a comparison needs the same data and split"
            )
        if (rows := len(first.data.x_test)) < 2 and not first.data.folds:
            why = "no test split (test = 0)" if rows == 0 else f"{rows} test rows"
            raise RequestError(
                f"data set {first.data.name} has {why}: a comparison needs at least two test rows, as with --test 0.2"
            )


def _difference(first: DataSet, mine: Data, second: DataSet, theirs: Data) -> str | None:
    """Return the first field in which two studies' data differ, with both values; None if the rows are the same."""
    # Two scalings of the same rows may well be compared.
    for name in (one for one in DataSet.model_fields if one != "scale"):
        a, b = getattr(first, name), getattr(second, name)
        if a != b:
            return f"{name} ({a} and {b})"
    if mine.fingerprint() == theirs.fingerprint():
        return None
    # Some techniques scale the data in their own way (`augmentation`, `fine_tune`), so the unscaled rows are compared.
    # A nonlinear scaling has no exact inverse, so equal rows are recognised by their digest first.
    for one, other in zip(mine.folds or (mine,), theirs.folds or (theirs,), strict=True):
        for name in _PARTS:
            if name[0] == "x" and one.raw and one.raw == other.raw:
                continue
            a, b = _unscaled(one, name), _unscaled(other, name)
            if a.shape != b.shape or not torch.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING * _largest(a)):
                return f"{name} (data {mine.fingerprint()} and {theirs.fingerprint()})"
    return None


def _largest(rows: Tensor) -> float:
    return float(rows.abs().max()) if rows.numel() else 0.0


def _unscaled(data: Data, name: str) -> Tensor:
    rows: Tensor | None = getattr(data, name)
    if rows is None:
        return torch.zeros(0, dtype=torch.float64)
    scaling = {"x": data.inputs, "y": data.targets, "w": None}[name[0]]
    return rows.double() if scaling is None else scaling.invert(rows).double()


def _entries(studies: Sequence[BaseStudy], replicates: int) -> list[_Entry]:
    entries: list[_Entry] = []
    for place, study in enumerate(studies):
        trial = complete_trial(study, None)
        own = Retraining.of(study, trial.number, trial.params, range(FRESH, FRESH + replicates))
        program = replace(own.program.deciding(), seed=studies[0].recipe.seed)
        # Trials of one signature share a program and so train in common packs, whichever study they are from.
        program = next((one.program for one in entries if _is_same(one, study, program)), program)
        # Two studies may have chosen trials of the same number.
        entries.append(_Entry(study, trial, replace(own, trial=place, program=program)))
    return entries


def _is_same(entry: _Entry, study: BaseStudy, program: Program) -> bool:
    def signature(one: Program) -> tuple[Any, ...]:
        return dict(one.structure), one.numeric, one.techniques, one.loss, one.precision, one.objective, one.metrics

    data, other = entry.study.data.fingerprint(), study.data.fingerprint()
    same_place = data == other and entry.study.device == study.device
    return same_place and signature(entry.program) == signature(program)


def _networks(entries: Sequence[_Entry], replicates: int, log: Log | None) -> list[list[Pack]]:
    """Train the entries, and return a network for every replicate of each, at its best epoch."""
    what = f"training {len(entries)} chosen trials on {replicates} fresh replicates each, from number {FRESH}"
    retrained = retrain([one.retraining for one in entries], what, log)
    packs = {(one.trial, one.replicate): one.network for one in retrained}
    networks = [
        [packs[place, replicate] for replicate in entry.retraining.replicates if (place, replicate) in packs]
        for place, entry in enumerate(entries)
    ]
    for entry, finite in zip(entries, networks, strict=True):
        if len(finite) < replicates:
            raise RequestError(
                f"the chosen {entry.label} diverges on {replicates - len(finite)} of {replicates} fresh replicates: "
                "there it has no network to compare"
            )
    return networks


def _shared(a: _Entry, b: _Entry) -> Shared:
    """Return what paired replicates of two trials have in common."""
    mine, theirs = a.program, b.program

    def with_hook(hook: str) -> list[list[Technique]]:
        return [[one for one in program.techniques if getattr(one, hook) is not None] for program in (mine, theirs)]

    parts = ["folds"] if a.study.data.folds else ["test examples"]
    if mine.layout.widths == theirs.layout.widths:
        same = mine is theirs or (with_hook("init") == [[], []] and mine.layout.branches == theirs.layout.branches)
        parts.append("initial weights" if same else "draws of initial weights")
    if mine.batch_size == theirs.batch_size and (mine is theirs or with_hook("rows") == [[], []]):
        parts.append("batch order")
    if mine is theirs:
        return Shared([*parts, "noise of training"])
    return Shared(parts, f"the noise of training, because the trials {_reason(a, b)}")


def _reason(a: _Entry, b: _Entry) -> str:
    """Return why two trials don't train with the same noise."""
    mine, theirs = dict(a.program.structure), dict(b.program.structure)
    names = [name for name in (*mine, *theirs) if mine.get(name) != theirs.get(name)]
    if [one.name for one in a.program.techniques] != [one.name for one in b.program.techniques]:
        names.append("techniques")
    if a.study.recipe.data.scale != b.study.recipe.data.scale:
        names.append("scale")
    if not names:
        # A hyperparameter of the optimiser at its neutral value is not part of a program.
        names = sorted({*a.program.numeric} ^ {*b.program.numeric})
    if names:
        return f"differ in {', '.join(dict.fromkeys(names))}"
    return "do not train together"


def _notes(entries: Sequence[_Entry], arms: Sequence[Arm], replicates: int) -> list[str]:
    notes = [f"{entry.study.name}: {note}" for entry in entries for note in cautions(entry.study.recipe)]
    for entry in entries:
        if entry.study.recipe.constraints:
            told = finished(own_trials(entry.study.optuna_study))
            found = described([(trial.number, violated(trial)) for trial in told])
            notes += [f"{entry.study.name}, chosen among the trials that meet its constraints: {one}" for one in found]
    split = entries[0].study.recipe.data
    if split.group is not None and not split.folds:
        notes.append(
            f"test examples of one group in {split.group} are alike, but the intervals treat them as independent:"
            " they are too narrow for new groups"
        )
    if len({arm.searched for arm in arms}) > 1:
        counts = ", ".join(f"{arm.study} {arm.searched}" for arm in arms)
        notes.append(
            f"the studies have searched different numbers of trials ({counts}): --trials N runs each of them to N"
        )
    if replicates < _FEW:
        notes.append(
            f"{replicates} replicates say little about how replicates vary: with 2, about 90% of the 95% intervals "
            "hold the true value"
        )
    seeds = {entry.study.recipe.seed for entry in entries}
    if len(seeds) > 1:
        notes.append(
            f"all fresh replicates are drawn with seed {entries[0].study.recipe.seed}, that of {arms[0].study}"
        )
    return notes
