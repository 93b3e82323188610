"""The evaluation of a pack: an epoch's metrics, scores and predictions, with averages of weights if it has them.

weights, or their averages -> predictions (of several networks: together) -> losses, metrics

Several networks are those of several averages, and those that share the weights of a slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from search.train import evaluate
from search.train.averages import Averages, together
from search.train.batches import Batches, Targets
from search.train.network import Network
from search.train.program import Program
from search.train.values import Moment

Term = Callable[[Tensor], Tensor]
"""A hook of a technique that reads the weights, ``slots x size``."""


class Evaluator:
    """Measures the slots of a pack.

    Args:
        program: the program of all slots.
        batches: the data on the device.
        moment: the point that the pack has reached.
        network: the network.
        averages: the averages of its weights.
        theta: its weights, ``slots x size``.
        penalties: the penalties of the weights, each of them ``(slots,)``.
        metrics: the techniques' own metrics of the weights, ``(slots,)`` by name.
    """

    def __init__(
        self,
        program: Program,
        batches: Batches,
        moment: Moment,
        network: Network,
        averages: Averages,
        theta: Tensor,
        penalties: Sequence[Term],
        metrics: Sequence[Callable[[Tensor], Mapping[str, Tensor]]],
    ) -> None:
        self._program, self._batches, self._moment = program, batches, moment
        self._network, self._averages, self._theta = network, averages, theta
        self._penalties, self._metrics = penalties, metrics
        self._members = program.layout.members

    @torch.no_grad()
    def measure(self) -> dict[str, Tensor]:
        """Return the metrics of an epoch: name to float64 ``(slots,)``."""
        with self._averages.evaluating():
            return self._measured()

    def _measured(self) -> dict[str, Tensor]:
        batches, theta, layout = self._batches, self._theta, self._program.layout
        metrics, kept = self._program.metrics, list[Tensor]()
        loss, read = self._scored(batches.x_val, batches.validation, kept if metrics else None)
        measured = {"val_loss": loss, batches.metric: read}
        measured |= evaluate.measure(metrics, batches, kept, batches.validation)
        if self._penalties:
            penalty = reduce(torch.add, [term(theta) for term in self._penalties])
            measured["val_objective"] = loss + penalty.double()
        measured |= evaluate.sizes(self._network.products, layout)
        if "test" in self._program.watch:
            names = ("test_loss", batches.metric.replace("val_", "test_"))
            measured |= dict(zip(names, self._scored(batches.x_test, batches.test), strict=True))
        if "weight_means" in self._program.watch:
            measured["weight_means"] = evaluate.weight_means(theta, layout)
        for extra in self._metrics:
            measured |= {name: value.double() for name, value in extra(theta).items()}
        return measured

    @torch.no_grad()
    def score(self, x: Tensor, y: Targets) -> tuple[Tensor, Tensor]:
        """Return mean loss and accuracy or error on some rows of data (`evaluate.score`)."""
        with self._averages.evaluating():
            return self._scored(x, y)

    def _scored(self, x: Tensor, y: Targets, kept: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        self._moment.train = False
        self._network.begin()
        groups = len(self._moment.groups)
        products, batches = self._network.products, self._batches
        return evaluate.score(self._predicted, products, groups, batches, x, y, self._program.layout, kept)

    @torch.no_grad()
    def predict(self, x: Tensor, number: int | None = None) -> Tensor:
        """Return predictions ``slots x examples x padded outputs``.

        Args:
            x: the inputs, ``examples x padded features``.
            number: the number of a Monte Carlo pass, on which its draws depend (not on the epoch); None for evaluation.
        """
        moment, parts = self._moment, []
        epoch = moment.epoch
        moment.train, moment.monte_carlo = False, number is not None
        moment.epoch, moment.forward = -1, number or 0
        with self._averages.evaluating():
            self._network.begin()
            for moment.step, rows in enumerate(torch.split(x, evaluate.rows_at_once(self._program.layout))):
                parts.append(self._predicted(rows.expand(len(moment.groups), -1, -1)))
        moment.epoch, moment.monte_carlo = epoch, False
        return torch.cat(parts, 1)

    def _predicted(self, x: Tensor) -> Tensor:
        """Return the predictions for some rows: those of the network, or of several together."""
        if not self._averages.several:
            each = self._of_members(x)
            return each[0] if len(each) == 1 else self._together(each)
        by_average: list[list[Tensor]] = []
        for differs in self._averages.each():
            if differs:
                self._network.begin()
                by_average.append(self._of_members(x))
            else:
                by_average.append(by_average[-1])
        return self._together([one for each in by_average for one in each])

    def _of_members(self, x: Tensor) -> list[Tensor]:
        """Return the predictions of each of the networks that share the present weights."""
        return list(self._network(x).chunk(self._members, 1))

    def _together(self, each: Sequence[Tensor]) -> Tensor:
        return together(each, self._batches.outputs, classes=self._batches.task == "classification")
