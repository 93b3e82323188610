"""Studies compared by their chosen trials: each trained on fresh replicates, and tested.

    best complete trial of each study --> fresh replicates, the same of all --> networks at their best validation epochs
    --> loss and correctness of every test example --> differences, paired by replicate and example

A trial is chosen among many by how well it did on its replicates; so it is trained anew on replicates that no search
has used. All trials have the same ones, under one seed, whatever that of their studies was: common random numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from optuna.trial import FrozenTrial
from torch import Tensor

from search.compare.crossed import Floats
from search.compare.pairs import Arm, Metric
from search.compare.verdict import Comparison
from search.data import Data
from search.errors import RequestError
from search.recipe.schema import DataSet
from search.record.curves import CELL
from search.record.readings import count_reading
from search.show.text import trial_name
from search.storage import database
from search.study.results import count_finished
from search.study.retrain import chosen
from search.study.study import BaseStudy
from search.train.cohort import cut
from search.train.evaluate import per_example
from search.train.pack import Pack, Slot
from search.train.precision import products
from search.train.program import Program
from search.train.sampling import best_networks

FRESH = 1000
"""The first replicate of a comparison: a recipe has at most so many, numbered from 0 (`Recipe.replicates`)."""

REPLICATES = 10
_FEW = 5
_ROUNDING = 1e-4


@dataclass(frozen=True)
class _Entry:
    """A study and its chosen trial, as it is to be trained."""

    study: BaseStudy
    trial: FrozenTrial
    program: Program
    values: Mapping[str, float]

    @property
    def label(self) -> str:
        """What sentences call it: its hyperparameters, or its setting's name, and where it is from."""
        cell = self.trial.user_attrs.get(CELL)
        settings = self.study.recipe.settings
        named = settings[cell].label if settings and cell is not None else ""
        setting = named or trial_name(self.trial.number, self.trial.params).partition(" ")[2]
        return f"{setting} ({self.study.name}, trial {self.trial.number})"


def compare_studies(
    *studies: BaseStudy, replicates: int = REPLICATES, told: Callable[[str], None] | None = None
) -> Comparison:
    """Compare the chosen trials of two studies or more on their test split; each study counts the reading.

    Args:
        studies: on the same data and split, each with a complete trial.
        replicates: fresh ones of each trial.
        told: is given a line on what is trained; default: printed on stderr.

    Raises:
        RequestError: these studies cannot be compared, or a trial diverges on a fresh replicate. Nothing was read then.
    """
    told = told or (lambda line: print(line, file=sys.stderr))
    check(studies, replicates)
    entries = _entries(studies)
    told(f"training {len(entries)} chosen trials on {replicates} fresh replicates each, from number {FRESH}")
    networks = _networks(entries, replicates)
    arms = [_tested(entry, networks[at]) for at, entry in enumerate(entries)]
    shared = {(a.study.name, b.study.name): _shared(a, b) for a, b in combinations(entries, 2)}
    notes = _notes(entries, arms, replicates)
    scales = [entry.study.data.targets for entry in entries]
    same_loss = len({entry.study.loss for entry in entries}) == 1 and all(
        one is None or (scales[0] is not None and torch.equal(one.scale, scales[0].scale)) for one in scales
    )
    if not same_loss:
        notes.append("the studies measure loss differently, so that their losses are not compared")
    metric: Metric = "accuracy" if entries[0].study.data.task == "classification" else "rmse"
    return Comparison.of(metric, arms, shared, notes, same_loss=same_loss)


def check(studies: Sequence[BaseStudy], replicates: int) -> None:
    """Refuse studies that cannot be compared, before anything is trained.

    Raises:
        RequestError: which says why.
    """
    if replicates < 2:
        raise RequestError(f"replicates must be >= 2, got {replicates}: one says nothing about how they vary")
    if len(studies) < 2:
        raise RequestError(f"takes two studies or more, got {len(studies)}")
    names = [study.name for study in studies]
    if twice := [name for name in names if names.count(name) > 1]:
        raise RequestError(f"study {twice[0]!r} is named twice: a comparison takes different studies")
    first = studies[0]
    for other in studies[1:]:
        if field := _differs(first.recipe.data, first.data, other.recipe.data, other.data):
            raise RequestError(
                f"studies {first.name!r} and {other.name!r} differ in {field}: "
                "a comparison takes the same data and split"
            )
        if len(first.data.x_test) < 2:
            raise RequestError(f"data set {first.data.name} has {len(first.data.x_test)} test rows: takes two or more")


def _differs(first: DataSet, mine: Data, second: DataSet, theirs: Data) -> str | None:
    """The first field in which two studies' data differ, with both values; None where they are the same rows."""
    for name in DataSet.model_fields:
        a, b = getattr(first, name), getattr(second, name)
        if a != b:
            return f"{name} ({a} and {b})"
    if mine.fingerprint() == theirs.fingerprint():
        return None
    # A technique may scale them its own way (`augmentation`, `fine_tune`): the rows are what they are before that.
    for name in ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"):
        a, b = _unscaled(mine, name), _unscaled(theirs, name)
        if a.shape != b.shape or not torch.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING * float(a.abs().max())):
            return f"{name} (data {mine.fingerprint()} and {theirs.fingerprint()})"
    return None


def _unscaled(data: Data, name: str) -> Tensor:
    scaling = data.inputs if name.startswith("x") else data.targets
    rows: Tensor = getattr(data, name)
    return rows.double() if scaling is None else scaling.invert(rows).double()


def _entries(studies: Sequence[BaseStudy]) -> list[_Entry]:
    entries: list[_Entry] = []
    for study in studies:
        trial = chosen(study, None)
        values = study.space.complete(trial.params)
        assert values is not None
        # What is watched each epoch is the search's matter; the test split least of all.
        program = replace(study.program(values), seed=studies[0].recipe.seed, watch=())
        # Trials of one signature train as one network, whatever study they are from.
        program = next((one.program for one in entries if _same(one, study, program)), program)
        entries.append(_Entry(study, trial, program, study.numeric(values)))
    return entries


def _same(entry: _Entry, study: BaseStudy, program: Program) -> bool:
    def signature(one: Program) -> tuple[Any, ...]:
        return dict(one.structure), one.numeric, one.techniques, one.loss, one.precision

    data, other = entry.study.data.fingerprint(), study.data.fingerprint()
    same_place = data == other and entry.study.device == study.device
    return same_place and signature(entry.program) == signature(program)


def _networks(entries: Sequence[_Entry], replicates: int) -> list[list[Pack]]:
    """Of each entry a network for every replicate, as it was at its best epoch."""
    slots = [
        (next(k for k, other in enumerate(entries) if other.program is entry.program),
         Slot(at, FRESH + number, entry.values))
        for at, entry in enumerate(entries)
        for number in range(replicates)
    ]  # fmt: skip
    found: list[list[Pack]] = [[] for _ in entries]
    for part in cut(slots, min(entry.study.width for entry in entries)):
        first = entries[slots[part[0]][0]]
        for pack, _ in best_networks(first.program, first.study.batches, [slots[i][1] for i in part]):
            found[pack.slots[0].trial].append(pack)
    for entry, packs in zip(entries, found, strict=True):
        packs.sort(key=lambda pack: pack.slots[0].replicate)
        if len(packs) < replicates:
            raise RequestError(
                f"the chosen {entry.label} diverges on {replicates - len(packs)} of {replicates} fresh replicates: "
                "there it has no network to compare"
            )
    return found


def _tested(entry: _Entry, networks: Sequence[Pack]) -> Arm:
    """The test split is read here, and nowhere else; counted first, so that no reading is missed."""
    study, trial = entry.study, entry.trial
    with database.faults(study.storage):
        readings = count_reading(study.optuna_study)
    losses, scores = zip(*(_examples(pack) for pack in networks), strict=True)
    return Arm(
        study.name, trial.number, trial.params, entry.label, count_finished(study), trial.values[0],
        np.stack(losses), np.stack(scores), readings,
    )  # fmt: skip


def _examples(network: Pack) -> tuple[Floats, Floats]:
    """Of each test example loss and score, ``(examples,)``."""
    program, batches = network.program, network.batches
    with products(program.precision, batches.device):
        predictions = network.predict(batches.x_test)
        loss, score = per_example(program, batches, predictions, batches.y_test)
    return loss[0].cpu().numpy(), score[0].cpu().numpy()


def _shared(a: _Entry, b: _Entry) -> list[str]:
    """What was common to paired replicates of two trials."""
    mine, theirs = a.program, b.program
    found = ["test examples"]
    if mine.layout.widths == theirs.layout.widths:
        mapped = [[one for one in program.techniques if one.init is not None] for program in (mine, theirs)]
        found.append(
            "initial weights" if mapped[0] == mapped[1] == [] or mine is theirs else "draws of initial weights"
        )
    rows = [[one for one in program.techniques if one.rows is not None] for program in (mine, theirs)]
    if mine.batch_size == theirs.batch_size and (mine is theirs or rows == [[], []]):
        found.append("batch order")
    same = mine is theirs
    found.append("noise of training" if same else f"but not the noise of training, since {_apart(a, b)}")
    return found


def _apart(a: _Entry, b: _Entry) -> str:
    """Why two trials do not train as one network."""
    mine, theirs = dict(a.program.structure), dict(b.program.structure)
    names = [name for name in (*mine, *theirs) if mine.get(name) != theirs.get(name)]
    if [one.name for one in a.program.techniques] != [one.name for one in b.program.techniques]:
        names.append("techniques")
    if names:
        return f"they differ in {', '.join(dict.fromkeys(names))}"
    return "they do not train as one network"


def _notes(entries: Sequence[_Entry], arms: Sequence[Arm], replicates: int) -> list[str]:
    notes = [f"{entry.study.name}: {note}" for entry in entries for note in entry.study.notes() if "test" in note]
    searched = {arm.searched for arm in arms}
    if len(searched) > 1:
        told = ", ".join(f"{arm.study} {arm.searched}" for arm in arms)
        notes.append(f"the studies have searched unequally long, in trials: {told}; --trials N takes them all to N")
    if replicates < _FEW:
        notes.append(f"{replicates} replicates say little about how they vary: 95% intervals hold in about 90% with 2")
    seeds = {entry.study.recipe.seed for entry in entries}
    if len(seeds) > 1:
        notes.append(f"all fresh replicates are drawn under seed {entries[0].study.recipe.seed}, of {arms[0].study}")
    return notes
