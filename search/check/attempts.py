"""Trainings of the overfit check, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial

import torch

from search.study.progress import Log, Steps
from search.train.crew import side_by_side, threads
from search.train.overfit import Attempt

Job = Callable[[], Iterator[Attempt | None]]
"""A training on one batch, as `search.train.overfit.overfit` begins it."""


def attempts(jobs: Sequence[Job], epochs: int, device: torch.device, what: str, log: Log | None) -> list[Attempt]:
    """Run trainings of so many epochs each, and return their results in the same order.

    Args:
        jobs: the trainings.
        epochs: the largest number of epochs of one.
        device: the device that trains.
        what, log: see `Steps`.
    """
    found: dict[int, Attempt] = {}
    numbered = [partial(_numbered, number, job) for number, job in enumerate(jobs)]
    with (
        Steps(what, epochs * len(jobs), log=log) as steps,
        closing(side_by_side(numbered, threads(device))) as trained,
    ):
        for number, attempt in trained:
            if attempt is None:
                steps.advance()
            else:
                found[number] = attempt
    return [found[number] for number in range(len(jobs))]


def _numbered(number: int, job: Job) -> Iterator[tuple[int, Attempt | None]]:
    for item in job():
        yield number, item
