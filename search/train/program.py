"""What the slots of a pack have in common: the network's shape, the loss, the optimiser, the techniques at work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.technique import Technique, Value
from search.technique.layout import Layout
from search.train.batches import Batches
from search.train.losses import CLASSIFICATION, REGRESSION, LossFunction
from search.train.optimisers import OPTIMISERS, Optimiser
from search.train.precision import Precision


@dataclass(frozen=True)
class Program:
    """Everything about training that is not a number per slot.

    Args:
        structure: every structural hyperparameter's value.
        layout: the network's widths and where its parameters lie.
        activation, batch_size, epochs: as the hyperparameters of those names.
        loss: per example, in `losses`.
        optimiser: in `optimisers`.
        numeric: the numeric hyperparameters that the study uses, in order.
        techniques: those at work, in the order the study names them.
        seed: the study's seed, part of the name of every random draw.
        watch: extra metrics, as in the recipe.
        precision: of products.
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
    ) -> Program:
        """The program of one signature.

        Args:
            structure: every structural hyperparameter's value; `hidden` as text, ``"128x128"``, ``""`` for none.
            numeric: the numeric hyperparameters in use; one that is fixed at its neutral value is not among them,
                and a technique that has only such is left out with its work.
        """
        active = tuple(technique for technique in techniques if technique.is_active(numeric, structure))
        widths = (batches.features, *hidden_widths(str(structure["hidden"])), batches.outputs)
        vectors = [
            (layer, technique.name, name)
            for layer, width in enumerate(widths[1:-1])
            for technique in active
            if technique.parameters is not None
            for name in technique.parameters(layer + 1, width)
        ]
        return cls(
            structure=dict(structure),
            layout=Layout(widths, tuple(vectors)),
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
        )


def hidden_widths(text: str) -> tuple[int, ...]:
    """``"128x64"`` to ``(128, 64)``; the empty text, or "0", is a linear model."""
    return tuple(int(width) for width in text.split("x") if text and width != "0")
