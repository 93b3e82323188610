"""What the slots of a pack have in common: the network's shape, the loss, the optimiser, the techniques' hooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from search.technique import Structural, Technique, Value, Values
from search.train.batches import Batches
from search.train.layout import Layout
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction
from search.train.optimisers import OPTIMISERS, Optimiser


@dataclass(frozen=True)
class Program:
    """Everything about training that is not a number per slot.

    Args:
        layout: the network's widths and where its parameters lie.
        activation, batch_size, epochs: as the hyperparameters of those names.
        loss: per example, in `losses`.
        optimiser: in `optimisers`.
        numeric: the numeric hyperparameters that the study uses, in order.
        penalties, gradients, projections, rates: the techniques' hooks, in the order the study names them.
        seed: the study's seed, part of the name of every random draw.
    """

    layout: Layout
    activation: str
    batch_size: int
    epochs: int
    loss: LossFunction
    optimiser: Optimiser
    numeric: tuple[str, ...]
    penalties: tuple[Callable[[Tensor, Values], Tensor], ...]
    gradients: tuple[Callable[[Tensor, Tensor, Values], None], ...]
    projections: tuple[Callable[[Tensor, Values], None], ...]
    rates: tuple[Callable[[int, int, Values], Tensor], ...]
    seed: int

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
    ) -> Program:
        """The program of one signature.

        Args:
            structure: every structural hyperparameter's value; `hidden` as text, ``"128x128"``, ``""`` for none.
            numeric: the numeric hyperparameters in use; one that is fixed at its neutral value is not among them,
                and a technique that has only such is left out with its work.
        """
        active = [t for t in techniques if _in_use(t, numeric)]
        return cls(
            layout=Layout((batches.features, *hidden_widths(str(structure["hidden"])), batches.outputs)),
            activation=str(structure["activation"]),
            batch_size=int(structure["batch_size"]),
            epochs=int(structure["epochs"]),
            loss=(CLASSIFICATION | REGRESSION)[loss],
            optimiser=OPTIMISERS[str(structure["optimizer"])](structure),
            numeric=tuple(numeric),
            penalties=tuple(t.penalty for t in active if t.penalty),
            gradients=tuple(t.gradient for t in active if t.gradient),
            projections=tuple(t.project for t in active if t.project),
            rates=tuple(t.rate for t in active if t.rate),
            seed=seed,
        )


def _in_use(technique: Technique, numeric: Sequence[str]) -> bool:
    declared = technique.hyperparameters.items()
    return not declared or any(isinstance(one, Structural) or name in numeric for name, one in declared)


def hidden_widths(text: str) -> tuple[int, ...]:
    """``"128x64"`` to ``(128, 64)``; the empty text, or "0", is a linear model."""
    return tuple(int(width) for width in text.split("x") if text and width != "0")
