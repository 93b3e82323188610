"""What a technique is tried on: a few rows of the study's data, a small network, and three trials.

Widths are awkward (7 units, and inputs that are no multiple of 16), so that every width has padding, and the last
minibatch is smaller than the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from optuna.distributions import FloatDistribution, IntDistribution
from torch import Tensor

from search.data import Data
from search.data.scaling import Scaling
from search.errors import RequestError
from search.recipe.space import Space
from search.technique import Numeric, Structural, Technique, Value
from search.technique.layout import ALIGNMENT
from search.train.batches import Batches
from search.train.engine import Engine
from search.train.pack import Pack, Slot
from search.train.program import Program

EPOCHS = 3
REPLICATES = (0, 3)
"""The replicates of each trial, where the pack has several."""
_ROWS, _FEWER_ROWS, _BATCH = 37, 11, 16
_WIDTHS = (7, 9, 11, 13, 5, 6, 10, 12)
_MOST_VARIANTS = 4
_SHARES, _OTHER_SHARES = (0.3, 0.5, 0.7), (0.3, 0.9, 0.1)
_RATES = (1.0, 1.5, 0.7)

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Bench:
    """Trials of a technique, ready to train.

    Attributes:
        batches: the data.
        structure: the structural hyperparameters.
        techniques: the techniques of the study, in order.
        trials: the numeric hyperparameters of each trial.
        others: the same, with other values in all trials but the first.
        loss: the name of the loss.
        replicates: the replicates of each trial.
    """

    batches: Batches
    structure: Mapping[str, Value]
    techniques: Sequence[Technique]
    trials: Sequence[Numbers]
    others: Sequence[Numbers]
    loss: str
    replicates: Sequence[int]

    def pack(
        self,
        technique: Technique | None,
        tried: str,
        trials: Sequence[Numbers] | None = None,
        replicates: Sequence[int] | None = None,
        engine: Engine | None = None,
    ) -> Pack:
        """Return a pack of some trials; by default, of all of them.

        Args:
            technique: what stands in the place of the technique that is tried; None to leave it out.
            tried: the name of that technique.
            trials: the numeric hyperparameters of each trial, the names of which are the program's.
            replicates: the replicates of each trial; by default, all of them.
            engine: what computes the products; by default what the machine has.
        """
        given = self.trials if trials is None else trials
        techniques = [technique if one.name == tried else one for one in self.techniques]
        program = Program.build(
            self.structure,
            tuple(given[0]),
            [one for one in techniques if one is not None],
            self.batches,
            loss=self.loss,
            seed=0,
        )
        if engine is not None:
            program = replace(program, engine=engine)
        numbers = self.replicates if replicates is None else replicates
        return Pack(program, self.batches, [Slot(t, r, values) for r in numbers for t, values in enumerate(given)])


def small(data: Data, *, awkward: bool) -> Data:
    """Return a few rows of a data set.

    Args:
        data: the data set.
        awkward: whether to leave out features or rows of pixels if the number of features is a multiple of 16.
    """
    train = _spread(len(data.x_train), _ROWS)
    if data.task == "classification":
        # Every class is there, because techniques may divide by its number of rows.
        classes = data.y_train.cpu()
        train += [int((classes == k).nonzero()[0]) for k in range(data.outputs) if bool((classes == k).any())]
    train = sorted(set(train))
    if len(train) % _BATCH == 1:
        train = train[:-1] if len(train) > 1 and data.task == "regression" else [*train, train[0]]
    kept = _kept_features(data) if awkward else None
    parts: dict[str, Any] = {}
    for name, rows in (
        ("train", torch.tensor(train)),
        ("val", torch.tensor(_spread(len(data.x_val), _FEWER_ROWS), dtype=torch.int64)),
        ("test", torch.tensor(_spread(len(data.x_test), _FEWER_ROWS), dtype=torch.int64)),
    ):
        x = getattr(data, f"x_{name}")[rows.to(data.x_train.device)]
        parts[f"x_{name}"] = x if kept is None else x[:, kept[0].to(x.device)]
        parts[f"y_{name}"] = getattr(data, f"y_{name}")[rows.to(data.y_train.device)]
        weights = getattr(data, f"w_{name}")
        parts[f"w_{name}"] = None if weights is None else weights[rows.to(weights.device)]
    fewer = replace(data, folds=(), scales={}, **parts)
    if kept is None:
        return fewer
    shift, scale = (part[kept[0].to(part.device)] for part in (data.inputs.shift, data.inputs.scale))
    inputs = Scaling(shift, scale)
    return replace(fewer, inputs=inputs, image_shape=kept[1])


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many row numbers, evenly spaced."""
    return sorted({at * count // most for at in range(most)}) if count > most else list(range(count))


def _kept_features(data: Data) -> tuple[Tensor, tuple[int, int, int] | None] | None:
    """Return the features to keep so that their number is no multiple of 16, and the shape of an image of them."""
    count = data.features
    if count % ALIGNMENT:
        return None
    if data.image_shape is None:
        return torch.arange(count - 3), None
    channels, height, width = data.image_shape
    if min(height, width) == 1:
        return None
    kept = torch.arange(count).view(data.image_shape)[:, : height - 1, : width - 1]
    return (kept.flatten(), (channels, height - 1, width - 1)) if kept.numel() % ALIGNMENT else None


def values_of(
    technique: Technique, space: Space, *, awkward: bool
) -> list[tuple[dict[str, Value], list[list[Numbers]]]]:
    """Return the values with which a technique is tried: structural ones, and the numeric ones of two lists of trials.

    Each choice of the technique's own structural hyperparameters is tried once, up to a few of them. The trials of both
    lists differ in the technique's own numeric hyperparameters and in the learning rate; the first of both is the same.

    Args:
        technique: the technique.
        space: the study's hyperparameters.
        awkward: whether hidden widths are small and odd; otherwise they are the study's.
    """
    found = []
    for chosen in _variants(technique, space):
        lists: list[list[dict[str, Value]]] = []
        for shares in (_SHARES, _OTHER_SHARES):
            trials = []
            for number, share in enumerate(shares):
                values = _completed(space, chosen)
                for name, declared in technique.hyperparameters.items():
                    if name in values and isinstance(declared, Numeric):
                        values[name] = _numeric(name, declared, space, share)
                changed = number > 0 and shares is _OTHER_SHARES
                values["lr"] = _rate(space) * _RATES[number] * (0.5 if changed else 1.0)
                trials.append(values)
            lists.append(trials)
        structure = space.structure(lists[0][0]) | {"batch_size": _BATCH}
        if awkward:
            structure |= {"hidden": _narrow(str(structure["hidden"])), "epochs": EPOCHS}
        numeric: list[list[Numbers]] = [[space.numeric(values) for values in trials] for trials in lists]
        # A value may be neutral by chance, such as one of few choices; all trials have one program.
        names = [name for name in numeric[0][0] if all(name in one for trials in numeric for one in trials)]
        if technique.is_active(names, structure):
            cut: list[list[Numbers]] = [[{name: one[name] for name in names} for one in trials] for trials in numeric]
            found.append((structure, cut))
    return found


def _variants(technique: Technique, space: Space) -> list[dict[str, Value]]:
    """Return choices of the technique's own structural hyperparameters that differ in one of them, the usual first."""
    own = {name: one for name, one in technique.hyperparameters.items() if isinstance(one, Structural)}
    allowed = {
        name: [value for value in space.possible(name) if value != one.neutral] or space.possible(name)
        for name, one in own.items()
        if name not in space.derived
    }
    usual = {name: own[name].default if own[name].default in values else values[0] for name, values in allowed.items()}
    others = [usual | {name: value} for name, values in allowed.items() for value in values if value != usual[name]]
    return [usual, *others][:_MOST_VARIANTS]


def _completed(space: Space, chosen: Mapping[str, Value]) -> dict[str, Value]:
    """Return all values of a trial: those that are chosen, and the middle of what the study searches."""
    params = {name: chosen.get(name, _middle(space, name)) for name in space.searched}
    values = space.complete(params)
    assert values is not None
    return values


def _middle(space: Space, name: str) -> Value:
    possible, declared = space.possible(name), space.declared[name]
    if isinstance(declared, Numeric):
        return _numeric(name, declared, space, 0.5)
    return declared.default if declared.default in possible else possible[0]


def _numeric(name: str, declared: Numeric, space: Space, share: float) -> float:
    """Return a value at a share of what the study searches, or near the one value that it has."""
    searched = space.searched.get(name)
    if isinstance(searched, FloatDistribution | IntDistribution):
        low, high = float(searched.low), float(searched.high)
        return _allowed(
            name, declared, low * (high / low) ** share if searched.log else low + (high - low) * share, low
        )
    if searched is not None:
        choices = [float(value) for value in space.possible(name) if value != declared.neutral]
        return choices[round(share * (len(choices) - 1))] if choices else float(space.possible(name)[0])
    fixed = float(space.possible(name)[0])
    if fixed == declared.neutral or not math.isfinite(fixed):
        return fixed
    return _allowed(name, declared, fixed * (0.5 + share) + (5 * (share - 0.5) if declared.whole else 0.0), fixed)


def _allowed(name: str, declared: Numeric, value: float, otherwise: float) -> float:
    try:
        return declared.validate(name, round(value) if declared.whole else value)
    except RequestError:
        return otherwise


def _rate(space: Space) -> float:
    """Return a learning rate of the study that trains visibly and does not diverge."""
    declared = space.declared["lr"]
    assert isinstance(declared, Numeric)
    return min(max(_numeric("lr", declared, space, 0.5), 1e-3), 0.05)


def _narrow(hidden: str) -> str:
    """Return hidden widths of the same depth that are small and odd, the same where the given ones are the same."""
    widths = [width for width in hidden.split("x") if width not in ("", "0")]
    kinds = list(dict.fromkeys(widths))
    return "x".join(str(_WIDTHS[kinds.index(width) % len(_WIDTHS)]) for width in widths) or hidden
