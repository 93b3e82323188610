"""Many steps of a pack in one call of a kernel: for programs in whose steps Python has nothing to do.

Their techniques have gates, penalties of stated form (`Technique.powers`) and factors on the learning rate, which are
drawn and computed for many steps ahead. Other programs train step by step, in the same kernels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from search.train.averages import Averages
from search.train.batches import Batches
from search.train.direct import DirectGradient
from search.train.penalties import Penalties
from search.train.program import Program
from search.train.rates import Rates
from search.train.scheduled import Scheduled
from search.train.values import Moment

if TYPE_CHECKING:
    from search.train.compiled.network import CompiledNetwork
    from search.train.compiled.optimisers import CompiledOptimiser

_NUMBERS = 2**17
"""The inputs and draws of the steps that are taken at once; with the weights of a slot, they stay in the cache."""


def serves(program: Program, direct: DirectGradient, penalties: Penalties, scheduled: Collection[str]) -> bool:
    """Return whether a program whose gradient needs no autograd trains many steps at once.

    Args:
        program: the program.
        direct: what draws its gates.
        penalties: its penalties.
        scheduled: the hyperparameters that change from step to step. Only gates are drawn step by step; everything else
            is read once for all steps.
    """
    between = ("input", "targets", "gradient", "project", "perturb_inputs", "perturb_weights")
    needs_python = any(getattr(one, hook) for one in program.techniques for hook in between)
    of_gates = {name for one in program.techniques if one.gate is not None for name in one.hyperparameters}
    return direct.gates_only and penalties.stated and not needs_python and of_gates.issuperset(scheduled)


class StepsAtOnce:
    """Trains the slots of a pack for some steps.

    Args:
        program: the program of all slots.
        batches: the data.
        moment: the point that the pack has reached.
        network: the network.
        direct: what draws its gates.
        penalties: its penalties; all have a stated form.
        optimiser: the optimiser.
        scheduled: what sets the hyperparameters of a step.
        rates: the learning rates of each step.
        averages: the averages of the weights.

    Attributes:
        count: the number of steps to take at once.
    """

    def __init__(
        self,
        program: Program,
        batches: Batches,
        moment: Moment,
        network: CompiledNetwork,
        direct: DirectGradient,
        penalties: Penalties,
        optimiser: CompiledOptimiser,
        scheduled: Scheduled,
        rates: Rates,
        averages: Averages,
    ) -> None:
        self._batches, self._moment, self._batch = batches, moment, program.batch_size
        self._network, self._direct, self._penalties = network, direct, penalties
        self._optimiser, self._scheduled, self._rates, self._averages = optimiser, scheduled, rates, averages
        widths = sum(map(network.width, range(program.layout.layers if direct.draws else 1)))
        self.count = max(1, _NUMBERS // (widths * self._batch * len(moment.groups)))

    def __call__(self, chosen: Sequence[Tensor], loss_sum: Tensor, penalty_sum: Tensor) -> bool:
        """Take the steps that begin with the moment's; return False, with nothing changed, if that is not possible.

        Args:
            chosen: the rows of all steps for each group, ``(rows,)``.
            loss_sum, penalty_sum: sums of losses and penalties, to which those of each step are added, ``(slots,)``.
        """
        rows = len(chosen[0])
        if self._network.threads(min(rows, self._batch)) > 1:
            return False
        moment, first = self._moment, self._moment.step
        counts = [min(self._batch, rows - at) for at in range(0, rows, self._batch)]
        rates = self._rates_of(len(counts))
        if rates is None:
            return False
        x, y = self._batches.gather(chosen)

        def begin(step: int) -> None:
            moment.step, moment.forward = first + step, 0
            self._scheduled.begin()

        gates = self._direct.gates(counts, x, begin)
        moment.step = first
        if gates is None:
            return False
        self._network.train(
            x,
            y,
            loss_sum,
            gates,
            batch=self._batch,
            strengths=self._penalties.strengths,
            penalties=penalty_sum,
            rates=rates,
            update=self._optimiser.begin(),
            averaging=self._averages.for_kernels(moment.epoch * moment.steps + first, len(counts), moment.steps),
        )
        self._optimiser.end()
        moment.step, moment.forward = first + len(counts) - 1, 1
        return True

    def _rates_of(self, count: int) -> NDArray[np.floating] | None:
        """Return the rates of the next steps, ``steps x slots``; None if parameters have rates of their own."""
        if not self._rates.in_tables:
            return None
        moment = self._moment
        lr = moment.numeric["lr"].numpy()
        rates = np.empty((count, moment.slots), lr.dtype)
        rates[:] = lr
        for step in range(count) if self._rates.change else ():
            rates[step] = self._rates.of(moment.step + step)[:, 0].numpy()
        return rates
