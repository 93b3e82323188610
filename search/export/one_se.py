"""The choice of the most strongly regularised trial within one standard error of the best."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from search.errors import RequestError
from search.report import record, replicates, statistics
from search.report.strength import strengths
from search.study.progress import Log

if TYPE_CHECKING:
    from search.study.study import BaseStudy


def one_standard_error(study: BaseStudy, log: Log | None = None) -> int:
    """Return the number of the most strongly regularised trial within one standard error of the best.

    If the study has fewer than three replicates, its best trials are trained on more first: `search.report.replicates`.

    Args:
        study: the study to choose from.
        log: a function that gets lines on what is trained and chosen; by default they are shown on stderr.

    Raises:
        RequestError: the study has several objectives, no searched hyperparameter has a direction of regularisation, or
            no complete trial has a finite loss on its replicates.
    """
    if study.objectives.several:
        raise RequestError(
            f"one-se takes a study of one objective, but {study.name!r} has several: choose a trial of its front by"
            " --trial"
        )
    known = record.read(study)
    if not strengths(known):
        raise RequestError(
            f"one-se: no hyperparameter that study {study.name!r} searches has a direction of regularisation: choose a"
            " trial by --trial"
        )
    choice = statistics.one_standard_error(replicates.train(study, known, log))
    if choice is None:
        lacks = "no complete trial" if not known.complete else "no complete trial with a finite loss on its replicates"
        raise RequestError(f"one-se: study {study.name!r} has {lacks}")
    say = log or (lambda line: print(line, file=sys.stderr))
    if choice.chosen is choice.best:
        say(
            f"trial {choice.best.number} is the best over {choice.replicates} replicates, and no more strongly"
            " regularised trial is within one standard error of it"
        )
    else:
        aim = study.objectives.first
        say(
            f"trial {choice.chosen.number} is within one standard error of the best trial, {choice.best.number}: its"
            f" {'loss' if aim.is_loss else aim.name} is {choice.difference:.3g} {aim.comparative}, with a standard"
            f" error of {choice.error:.3g} over {choice.replicates} replicates"
        )
    return choice.chosen.number
