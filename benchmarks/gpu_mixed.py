"""A cohort of mixed signatures: the eight rows of `mixed.py`, each with a regulariser of its own."""

from __future__ import annotations

import gc
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from engine import advancing
from gpu_engine import figures
from gpu_section import Section
from mixed_plain import Plain
from pixels import random_pixels
from race import Entrant, Race, Train
from torch import Tensor

from search.recipe.declared import declare
from search.recipe.discovery import discover
from search.technique import Structural, Technique, Value
from search.train.batches import Batches
from search.train.cohort import Cohort
from search.train.device import auto_width
from search.train.footprint import slot_bytes
from search.train.member import Member
from search.train.precision import Precision, products
from search.train.program import Program

RECIPE = Path(__file__).resolve().parents[1] / "studies" / "notebooks" / "cifar10-regularization.toml"
_TURNS = 5
_EPOCHS = 200


def mixed(section: Section) -> None:
    """Time the table's cohort against plain loops, one row after the other."""
    section.tell(
        how="The package trains all rows as one cohort, with one or more replicates of each; the plain loops train each"
        f" row once. Both measure the validation rows. trials_per_second is that of trials of {_EPOCHS} epochs."
    )
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    fixed = recipe["set"] | ({"hidden": "16", "batch_size": 64} if section.small else {})
    rows = [fixed | one.get("set", {}) for one in recipe["settings"]]
    techniques = [discover()[name] for name in recipe["techniques"]]
    data = random_pixels(*((128, 64) if section.small else (40_000, 10_000)))
    batches = Batches(data, section.device)
    x_train, y_train, x_val, y_val = (
        part.to(section.device) for part in (data.x_train, data.y_train, data.x_val, data.y_val)
    )

    def raced(precision: Precision, replicates: int) -> Mapping[str, Any]:
        entrants = {
            "package": Entrant(
                len(rows) * replicates, lambda: _cohort(rows, techniques, batches, precision, replicates)
            ),
            "plain": Entrant(len(rows), lambda: _loops(rows, (x_train, y_train, x_val, y_val), data.outputs)),
        }
        with products(precision, section.device):
            race = Race(entrants, section.device, 0.01 if section.small else 0.3)
            for _ in range(2 if section.small else _TURNS):
                race.turn()
        return figures(race, _EPOCHS)

    precisions: tuple[Precision, ...] = ("fp32", "tf32") if section.device.type == "cuda" else ("fp32",)
    for precision in precisions:
        for replicates in (1, 2) if section.small else (1, 16):
            section.row(
                {"rows": [one["name"] for one in recipe["settings"]], "replicates": replicates, "precision": precision},
                partial(raced, precision, replicates),
            )
            gc.collect()


def _cohort(
    rows: Sequence[Mapping[str, Value]],
    techniques: Sequence[Technique],
    batches: Batches,
    precision: Precision,
    replicates: int,
) -> Train:
    members = []
    for number, row in enumerate(rows):
        structure, numeric = _values(row, techniques)
        program = Program.build(
            structure, list(numeric), techniques, batches, loss="cross_entropy", seed=0, precision=precision
        )
        members.append(Member(number, program, numeric, replicates))
    largest = max(slot_bytes(member.program, member.values, batches) for member in members)
    return advancing(Cohort(members, batches, auto_width(largest, batches.device)))


def _values(row: Mapping[str, Value], techniques: Sequence[Technique]) -> tuple[dict[str, Value], dict[str, float]]:
    """Return the structural hyperparameters of a row, and the numeric ones that its training uses.

    They are those of `Space`, which needs Optuna: a technique that is neutral is left out, and so is what no technique
    owns at its neutral value.
    """
    declared = declare(techniques)
    values = {name: one.fixed for name, one in declared.items() if one.fixed is not None} | dict(row)
    owned = {name for technique in techniques for name in technique.hyperparameters}
    on = {
        name
        for technique in techniques
        if any(one.neutral not in (None, values[name]) for name, one in technique.hyperparameters.items())
        for name in technique.hyperparameters
    }
    numeric: dict[str, float] = {}
    structure: dict[str, Value] = {}
    for name, one in declared.items():
        if isinstance(one, Structural):
            structure[name] = values[name]
        elif all(values[other] in allowed for other, allowed in one.when.items()) and (
            name in on if name in owned else values[name] != one.neutral
        ):
            numeric[name] = float(values[name])
    # The race decides how many epochs are trained.
    return structure | {"epochs": 10**6}, numeric


def _loops(rows: Sequence[Mapping[str, Value]], tensors: tuple[Tensor, Tensor, Tensor, Tensor], classes: int) -> Train:
    def train(count: int) -> None:
        for row in rows:
            # `Plain` takes the regularisers that are named.
            own = {name: value for name, value in row.items() if value is not False}
            Plain(own | {"epochs": count}, tensors, classes).train()

    return train
