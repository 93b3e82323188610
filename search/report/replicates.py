"""More replicates of a study's best trials, where it has too few for a standard error.

    the best trials by their value --> five more replicates of each, one packed training --> kept in the study

Values of trials and what samplers see stay as they are. The replicates are ones that no search and no comparison
(`search.compare`) uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from search.record import added
from search.report.record import Record
from search.report.statistics import MORE, lacking
from search.storage import database
from search.train.cohort import cut
from search.train.crew import side_by_side, threads
from search.train.pack import Slot
from search.train.program import Program
from search.train.sampling import best_networks

if TYPE_CHECKING:
    from search.study.study import BaseStudy

FIRST = 2**31
"""The first replicate that is added: a search numbers its own from 0 to 999, a comparison from 1,000 on."""

QUICK = 30.0
"""Seconds that a report takes for it unasked, by the cautious guess of `seconds`."""
_BESIDE = 2.0  # a cohort is pruned, what is trained here is not


def seconds(record: Record) -> float:
    """About how long `train` takes: as a cohort of as many slots."""
    wanted = lacking(record)
    longest = max((one.seconds for one in wanted), default=0.0)
    return _BESIDE * longest * max(1.0, len(wanted) * MORE / max(1, record.slots))


def train(study: BaseStudy, record: Record, told: Callable[[str], None] = lambda _line: None) -> Record:
    """The record with what it lacks for a standard error, trained unless the study has it already.

    Args:
        told: is given a line on what is trained.
    """
    wanted = lacking(record)
    if not wanted:
        return record
    told(f"training the {len(wanted)} best trials on {MORE} more replicates each")
    found = {one.number: np.full(MORE, np.inf) for one in wanted}
    programs: dict[int, Program] = {}
    slots: list[tuple[int, Slot]] = []
    for one in wanted:
        values = study.space.complete(one.params)
        assert values is not None
        program = study.program(values)
        programs[id(program)] = program
        numeric = study.numeric(values)
        slots += [(id(program), Slot(one.number, FIRST + number, numeric)) for number in range(MORE)]
    workers = threads(study.device)
    parts = [[slots[i] for i in part] for part in cut(slots, study.width, workers)]
    jobs = [partial(_losses, study, programs[part[0][0]], [slot for _, slot in part]) for part in parts]
    for slot, loss in side_by_side(jobs, workers):
        found[slot.trial][slot.replicate - FIRST] = np.float32(loss)  # as precise as the record of the others
    with database.faults(study.storage):
        for number, objectives in found.items():
            added.note(study.optuna_study, number, objectives.tolist())
    return replace(record, added={**record.added, **found})


def _losses(study: BaseStudy, program: Program, slots: Sequence[Slot]) -> Iterator[tuple[Slot, float]]:
    for pack, loss in best_networks(program, study.batches, slots):
        yield pack.slots[0], loss
