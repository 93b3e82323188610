"""The program of a pack: its network's shape, loss, optimiser and active techniques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from search.data import Data
from search.errors import RequestError
from search.technique import Technique, Value
from search.technique.guarded import place_of
from search.technique.layout import FREQUENCY, MOST_BRANCHES, PHASE, Layout
from search.train.batches import Batches
from search.train.encoder import Encoder, encoder_of
from search.train.engine import Engine, choose_engine
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction
from search.train.metrics.metric import Metric
from search.train.metrics.objective import VAL_LOSS, Objective
from search.train.optimisers import OPTIMISERS, Optimiser
from search.train.precision import Precision

SCALE = "scale"
"""The structural hyperparameter that chooses the scaling of the inputs, in studies that search it."""
D = TypeVar("D", Data, Batches)


@dataclass(frozen=True)
class Program:
    """Everything about training that all slots of a pack have in common.

    Args:
        structure: the value of every structural hyperparameter.
        layout: the network's widths and the place of its parameters.
        activation, batch_size, epochs: the hyperparameters of these names.
        loss: the loss function per example (`losses`).
        optimiser: the optimiser (`optimisers`).
        numeric: the names of the numeric hyperparameters in use, in order.
        techniques: the active techniques, in the order in which the study names them.
        seed: the study's seed, part of the name of every random draw.
        watch: the extra metrics, as in the recipe.
        precision: the precision of products.
        engine: what computes them.
        metrics: the metrics that are measured each epoch in addition to loss and accuracy or root mean squared error.
        objective: the metric that decides which epoch is the best.
        joined: the numbers of the hidden layers, from 2, to whose activations what entered them is added.
        encoder: what encodes the inputs; None for inputs that are only scaled.
    """

    structure: Mapping[str, Value]
    layout: Layout
    activation: str
    batch_size: int
    epochs: int
    loss: LossFunction
    optimiser: Optimiser
    numeric: tuple[str, ...]
    techniques: tuple[Technique, ...]
    seed: int
    watch: tuple[str, ...] = ()
    precision: Precision = "fp32"
    engine: Engine = "torch"
    metrics: tuple[Metric, ...] = ()
    objective: Objective = VAL_LOSS
    joined: tuple[int, ...] = ()
    encoder: Encoder | None = None

    def own(self, data: D, replicate: int = 0) -> D:
        """Return the data on which a replicate trains: its fold, in the scale and the encoding of this program."""
        return self.encoded(data.of(replicate).scaled(self.structure.get(SCALE)))

    def encoded(self, data: D) -> D:
        """Return the data of a fold and scale in the encoding of this program, which they may have already."""
        return data if self.encoder is None else self.encoder(data)

    @classmethod
    def build(
        cls,
        structure: Mapping[str, Value],
        numeric: Sequence[str],
        techniques: Sequence[Technique],
        batches: Batches,
        *,
        loss: str,
        seed: int,
        watch: Sequence[str] = (),
        precision: Precision = "fp32",
        metrics: Sequence[Metric] = (),
        objective: Objective = VAL_LOSS,
    ) -> Program:
        """Build the program of one signature.

        Args:
            structure: the value of every structural hyperparameter; `hidden` is a text such as ``"128x128"``, ``""``
                for no hidden layer.
            numeric: the names of the numeric hyperparameters in use (`Space.numeric`).
            techniques: the techniques of the study; those that are not active (`Technique.is_active`) are left out.
            batches: the data on the device.
            loss: the name of the loss.
            seed: the study's seed.
            watch: the extra metrics.
            precision: the precision of products.
            metrics: the metrics to measure each epoch.
            objective: the metric that decides which epoch is the best.
        """
        active = tuple(technique for technique in techniques if technique.is_active(numeric, structure))
        scaled = batches.scaled(structure.get(SCALE))
        encoder = encoder_of(active, structure, scaled, [one.scaled(structure.get(SCALE)) for one in batches.folds])
        features = scaled.features if encoder is None else encoder.width
        waves = sum(_waves(technique, structure) for technique in active)
        widths = (features * (1 + waves), *hidden_widths(str(structure["hidden"])), batches.outputs)
        vectors = [
            (-1, technique.name, name)
            for technique in active
            if technique.input_parameters is not None
            for name in technique.input_parameters(features)
        ]
        waving = (technique for technique in active if technique.waves is not None)
        vectors += [(-2, technique.name, name) for technique in waving for name in (FREQUENCY, PHASE)]
        vectors += [
            (layer, technique.name, name)
            for layer, width in enumerate(widths[1:-1])
            for technique in active
            if technique.parameters is not None
            for name in technique.parameters(layer + 1, width)
        ]
        return cls(
            structure=dict(structure),
            layout=Layout(
                widths,
                tuple(vectors),
                _branches(active, structure, len(widths) - 2),
                _members(active, structure),
                waves,
            ),
            activation=str(structure["activation"]),
            batch_size=int(structure["batch_size"]),
            epochs=int(structure["epochs"]),
            loss=(CLASSIFICATION | REGRESSION)[loss],
            optimiser=OPTIMISERS[str(structure["optimizer"])](structure),
            numeric=tuple(numeric),
            techniques=active,
            seed=seed,
            watch=tuple(watch),
            precision=precision,
            engine=choose_engine(batches.device, precision),
            # Loss and accuracy or RMSE are measured in any case.
            metrics=tuple(metric for metric in metrics if metric.name != batches.metric),
            objective=objective,
            joined=_joined(active, structure, widths),
            encoder=encoder,
        )

    def deciding(self) -> Program:
        """Return the program without the metrics that do not decide which epoch is the best, above all of test rows."""
        return replace(self, watch=(), metrics=tuple(one for one in self.metrics if one.name == self.objective.name))


def _waves(technique: Technique, structure: Mapping[str, Value]) -> int:
    """Return the number of waves of each feature that a technique adds.

    Raises:
        RequestError: its hook returns something else than a number.
    """
    hook = technique.waves
    if hook is None:
        return 0
    count = hook(structure)
    if not isinstance(count, int) or count < 0:
        place = place_of(hook, technique)
        raise RequestError(f"{place}: hook 'waves' returns {count!r}, where a whole number >= 0 is right")
    return count


def _members(techniques: Sequence[Technique], structure: Mapping[str, Value]) -> int:
    """Return how many networks share the weights of a slot."""
    return max((one.members(structure) for one in techniques if one.members is not None), default=1)


def _branches(techniques: Sequence[Technique], structure: Mapping[str, Value], hidden: int) -> tuple[int, ...]:
    """Return the number of branches of each hidden layer; () where each has one.

    Raises:
        RequestError: two techniques give a layer branches, or a number is wrong.
    """
    counts, owner = [1] * hidden, [""] * hidden
    for technique in techniques:
        if technique.branches is None:
            continue
        for at in range(hidden):
            count = technique.branches(at + 1, structure)
            if not isinstance(count, int) or not 1 <= count <= MOST_BRANCHES:
                raise RequestError(
                    f"technique {technique.name!r} gives hidden layer {at + 1} {count!r} branches, where a whole"
                    f" number from 1 to {MOST_BRANCHES} is right"
                )
            if min(count, counts[at]) > 1:
                raise RequestError(
                    f"techniques {owner[at]!r} and {technique.name!r} both give hidden layer {at + 1} branches: use one"
                    " of them"
                )
            if count > 1:
                counts[at], owner[at] = count, technique.name
    return tuple(counts) if any(owner) else ()


def _joined(techniques: Sequence[Technique], structure: Mapping[str, Value], widths: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of the hidden layers that are residual blocks."""
    hooks = [technique.residual for technique in techniques if technique.residual is not None]
    joined = tuple(number for number in range(2, len(widths) - 1) if any(hook(number, structure) for hook in hooks))
    for number in joined:
        if widths[number] != widths[number - 1]:
            raise ValueError(f"hidden layer {number} has {widths[number]} units and cannot add {widths[number - 1]}")
    return joined


def hidden_widths(text: str) -> tuple[int, ...]:
    """Return ``(128, 64)`` for ``"128x64"``; the empty text, or "0", is a linear model, ``()``."""
    return tuple(int(width) for width in text.split("x") if text and width != "0")
