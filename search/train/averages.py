"""Averages of weights over the steps of training, with which a network is evaluated (`Technique.average`).

    average <- average + share * (weights - average)

A pack keeps its averages in its state: ``averages`` is ``slots x (averages size)``, and ``averages/...`` are those of
the moving estimates that belong to the weights (`Technique.moving`). Where several techniques average, each averages
what the one before it returns. The averages of the last one are the `members`, whose networks predict together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from search.technique import Technique
from search.train.program import Program
from search.train.values import TechniqueValues, owner

if TYPE_CHECKING:
    from search.train.compiled.plan import Averaging

KEY = "averages"
_WEIGHTS = -1
"""The source of an average of the weights themselves."""


@dataclass(frozen=True)
class _Place:
    """One average of a pack.

    Attributes:
        technique: the technique to which it belongs, as its place in the program.
        row: its place among the averages of this technique.
        source: the average that it averages, or `_WEIGHTS`.
    """

    technique: int
    row: int
    source: int


def places(program: Program) -> list[_Place]:
    """Return the averages of a program, in the order in which they are updated."""
    found: list[_Place] = []
    source = _WEIGHTS
    for at in _in_order(program):
        averages = program.techniques[at].averages
        count = 1 if averages is None else averages(program.structure)
        found += [_Place(at, row, source) for row in range(count)]
        source = len(found) - 1
    return found


def _in_order(program: Program) -> list[int]:
    """Return the places of the techniques that average, in the order in which they do.

    What weights return to comes first, because it must be an average of themselves; several averages come last, because
    an average of them would be no network of theirs.
    """
    techniques = program.techniques
    averaging = [at for at, technique in enumerate(techniques) if technique.average is not None]
    return sorted(averaging, key=lambda at: (not techniques[at].returns, techniques[at].averages is not None))


def initial(program: Program, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the part of a pack's state that holds its averages, which begin as the initial weights."""
    if not (count := len(places(program))):
        return {}
    repeated = {KEY: state["theta"].repeat(1, count)}
    for name in _moving(program.techniques, state):
        repeated[f"{KEY}/{name}"] = torch.stack([state[name]] * count, 1)
    return repeated


def evaluated(program: Program, state: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Return the state with the weights of each network that predicts: one, unless a technique has several averages."""
    found = places(program)
    return [{**state, **_copy(state, len(found), at)} for at in _members(found)] or [dict(state)]


class Averages:
    """The averages of a pack in training.

    Args:
        program: the program of all slots.
        techniques: each technique's view of the pack.
        state: the state of the pack, which is changed in place.

    Attributes:
        places: what each of them averages.
        returning: whether the weights become the average, for each of them.
    """

    def __init__(self, program: Program, techniques: Sequence[TechniqueValues], state: Mapping[str, Tensor]) -> None:
        self.places = places(program)
        self.returning = [program.techniques[one.technique].returns for one in self.places]
        in_order = [(program.techniques[at].average, techniques[at]) for at in _in_order(program)]
        self._hooks = [(average, values) for average, values in in_order if average is not None]
        self._state, self._members = state, _members(self.places)
        names = ["theta", *_moving(program.techniques, state)] if self.places else []
        self._live = [state[name] for name in names]
        self._copies = [[_copy(state, len(self.places), at)[name] for name in names] for at in range(len(self.places))]

    @property
    def several(self) -> bool:
        """Whether several networks predict together."""
        return len(self._members) > 1

    def shares(self, step: int, steps: int) -> Tensor:
        """Return the share of each average at a step, ``averages x slots``; `step` counts from the start."""
        shares = (average(step, steps, values) for average, values in self._hooks)
        return torch.cat([share if share.ndim == 2 else share[None] for share in shares])

    def update(self, shares: Tensor) -> None:
        """Let the weights, as they are after a step, enter the averages with its `shares`."""
        for copy, place, returns, share in zip(self._copies, self.places, self.returning, shares, strict=True):
            source = self._live if place.source == _WEIGHTS else self._copies[place.source]
            for average, now in zip(copy, source, strict=True):
                part = share.view(-1, *[1] * (now.ndim - 1))
                # A share of 0 or 1 is exact, for which the sum would be rounded.
                moved = torch.where(part == 1, now, average + part * (now - average))
                average.copy_(torch.where(part == 0, average, moved))
            if returns:
                self._live[0].copy_(torch.where(share[:, None] == 0, self._live[0], copy[0]))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Put the weights for evaluation in the place of the trained ones; those of the last network, if of several."""
        if not self.places:
            yield
            return
        trained = [one.clone() for one in self._live]
        self._enter(self._copies[-1])
        try:
            yield
        finally:
            self._enter(trained)

    def each(self) -> Iterator[bool]:
        """Put the weights of each network that predicts in the place of the trained ones, the last one last.

        Yield whether they differ from those before. A GPU is not asked, because the host would wait for the answer.
        """
        before: list[Tensor] | None = None
        for at in self._members:
            copy = self._copies[at]
            same = before is not None and copy[0].device.type == "cpu" and all(map(torch.equal, copy, before))
            if not same:
                self._enter(copy)
            before = copy
            yield not same

    def _enter(self, tensors: Sequence[Tensor]) -> None:
        for live, other in zip(self._live, tensors, strict=True):
            live.copy_(other)

    def for_kernels(self, step: int, count: int, steps: int) -> Averaging | None:
        """Return the averages as kernels update them after `count` steps from a step on, None if there are none."""
        if not self.places:
            return None
        from search.train.compiled.plan import Averaging  # it takes numba

        shares = torch.stack([self.shares(at, steps).T for at in range(step, step + count)])
        sources = np.array([one.source for one in self.places], np.int64)
        averages = self._state[KEY]
        return Averaging(
            averages.view(-1).numpy(), shares.contiguous().numpy(), sources, np.array(self.returning, np.bool_)
        )


def together(predictions: Sequence[Tensor], outputs: int, *, classes: bool) -> Tensor:
    """Return what networks predict together, ``slots x rows x padded outputs``.

    These are mean values; or logits whose softmax are the mean probabilities: ``log(sum_m p_m / M)``.

    Args:
        predictions: the predictions of each network, ``slots x rows x padded outputs``.
        outputs: the number of outputs without padding.
        classes: whether they are logits.
    """
    each = torch.stack(list(predictions), -1)
    if not classes:
        return each.mean(-1)
    logs = torch.stack([one[..., :outputs].log_softmax(-1) for one in predictions], -1)
    joint = torch.zeros_like(predictions[0])
    # log sum_m exp(a_m) is a_1 - log_softmax(a)_1, which has the same bits for a slot in any place.
    joint[..., :outputs] = logs[..., 0] - logs.log_softmax(-1)[..., 0] - math.log(len(predictions))
    return joint


def _members(found: Sequence[_Place]) -> list[int]:
    """Return the averages of the last technique that averages."""
    return [at for at, one in enumerate(found) if one.technique == found[-1].technique]


def _moving(techniques: Sequence[Technique], state: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the moving estimates in a state."""
    owners = tuple(f"{owner(technique.name)}/" for technique in techniques if technique.moving)
    return [name for name in state if name.startswith(owners)] if owners else []


def _copy(state: Mapping[str, Tensor], count: int, at: int) -> dict[str, Tensor]:
    """Return views of one average in a state, by the names of what is averaged."""
    size = state["theta"].shape[1]
    copy = {"theta": state[KEY].view(-1, count, size)[:, at]}
    start = f"{KEY}/"
    return copy | {name.removeprefix(start): tensor[:, at] for name, tensor in state.items() if name.startswith(start)}
