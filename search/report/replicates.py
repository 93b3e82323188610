"""More replicates of a study's best trials, for a study that has too few for a standard error.

    the best trials by their value --> five more replicates of each, in one packed training --> kept in the study

The values of trials, and thus what samplers see, stay as they are. No search and no comparison (`search.compare`) uses
these replicates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from search.record import added
from search.report.record import Record
from search.report.statistics import MORE, lacking
from search.storage import database
from search.study.progress import Log
from search.study.retrain import Retraining, retrain

if TYPE_CHECKING:
    from search.study.study import BaseStudy

FIRST = 2**31
"""The number of the first added replicate; a search numbers its own from 0 to 999, a comparison from 1,000 on."""

QUICK = 30.0
"""The longest that a report trains replicates without being asked, in seconds, by the cautious guess of `seconds`."""
_BESIDE = 2.0  # a cohort is pruned, but these replicates are not


def seconds(record: Record) -> float:
    """Return about how long `train` takes: as long as a cohort of as many slots."""
    entries = lacking(record)
    longest = max((entry.seconds for entry in entries), default=0.0)
    return _BESIDE * longest * max(1.0, len(entries) * MORE / max(1, record.slots))


def train(study: BaseStudy, record: Record, log: Log | None = None) -> Record:
    """Return the record with the replicates that a standard error needs; train those that the study does not have.

    Args:
        log: a function that gets lines on what is trained; by default they are shown on stderr.
    """
    wanted = lacking(record)
    if not wanted:
        return record
    folds = len(study.batches.folds)
    more = -(-MORE // folds) * folds  # as many of each fold
    found = {one.number: np.full(more, np.inf) for one in wanted}
    added_numbers = range(FIRST, FIRST + more)
    retrainings = [Retraining.of(study, one.number, one.params, added_numbers) for one in wanted]
    what = f"training the {len(wanted)} best trials on {more} more replicates each"
    for one in retrain(retrainings, what, log):
        found[one.trial][one.replicate - FIRST] = one.objective
    with database.faults(study.storage):
        for number, objectives in found.items():
            added.note(study.optuna_study, number, objectives.tolist())
    return replace(record, added={**record.added, **found})
