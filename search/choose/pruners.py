"""The rules by which a cohort is judged at a rung, by name; `search.choose.peers` says which trials are judged.

The rules that rank trials (halving, median) first judge at half of the epochs by default. This is later than elsewhere,
because regularisation pays late: of 64 L2 strengths on digits, the five that are best after 100 epochs rank 33rd to
38th at epoch 11, and are all among the first six at epoch 50. An early rung, where unregularised trials lead, would
prune the best ones. The rules that forecast (curve and forecast, in `search.choose.forecast`) see that these still
improve, and judge from a sixth of the epochs on.

`survivors(judged, peers, rung)` is what a pruner has to say: `judged` are the running trials of the cohort, `peers` all
trials they are compared with, themselves included, and `at(trial, rung)` is what each had at the rung.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from search.choose.forecast import CurvePruner, ForecastPruner
from search.choose.pareto import ParetoPruner
from search.choose.peers import PeerPruner, worst_of_best
from search.errors import RequestError
from search.recipe import Recipe
from search.recipe.schema import Pruner
from search.recipe.space import Space
from search.record.objectives import VAL_LOSS, Objectives
from search.record.own import TICKET
from search.train import streams
from search.train.batches import Batches
from search.train.constant import constant_value
from search.train.metrics.metric import Metric
from search.train.metrics.objective import VAL_LOSS as LOSS
from search.train.metrics.objective import Objective


class HalvingPruner(PeerPruner):
    """Successive halving: at epochs m, m f, m f^2 ... the best 1/f of all peers at the rung go on, at least one.

    m is `min_epochs`, by default half of all epochs.

    Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization"
    (AISTATS 2016); Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020).
    """

    def __init__(self, epochs: int, *, factor: int, min_epochs: int | None, aim: Objective = LOSS) -> None:
        super().__init__(epochs, aim=aim)
        self.factor = factor
        self.min_epochs = min_epochs or -(-epochs // 2)

    def rungs(self) -> tuple[int, ...]:
        rungs = []
        rung = self.min_epochs
        while rung < self.epochs:
            rungs.append(rung)
            rung *= self.factor
        return tuple(rungs)

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        bar = worst_of_best([self.loss_at(peer, rung) for peer in peers], self.factor)
        return self.no_worse(judged, rung, bar)


class HyperbandPruner(HalvingPruner):
    """Hyperband: successive halving in brackets whose first rungs are at m, m f, m f^2 ... epochs.

    The bracket of a trial follows from its ticket alone; the shares of the brackets give each about the same number of
    epochs. One bracket is never judged, so that a misleading early rung cannot prune every good trial. Therefore m is
    early by default: epochs / f^2.

    Source: Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization" (JMLR 2018).
    """

    def __init__(self, epochs: int, *, factor: int, min_epochs: int | None, aim: Objective = LOSS) -> None:
        super().__init__(epochs, factor=factor, min_epochs=min_epochs or max(1, round(epochs / factor**2)), aim=aim)

    def bracket(self, trial: FrozenTrial) -> int:
        count = len(self.rungs()) + 1
        # Trials of a bracket that is judged later train longer, so there are fewer of them.
        shares = [math.ceil(count * self.factor ** (count - 1 - place) / (count - place)) for place in range(count)]
        drawn = streams.key("hyperband", trial.user_attrs.get(TICKET, trial.number)) % sum(shares)
        for place, share in enumerate(shares):
            if drawn < share:
                return place
            drawn -= share
        raise AssertionError("unreachable: drawn < sum(shares)")

    def is_judged(self, trial: FrozenTrial, rung: int) -> bool:
        return rung in self.rungs()[self.bracket(trial) :]


class MedianPruner(PeerPruner):
    """The median rule: every `interval` epochs from `min_epochs` on, trials worse than the median of their peers stop.

    `min_epochs` is by default half of all epochs.

    Source: Golovin et al., "Google Vizier" (KDD 2017), section 3.2.
    """

    def __init__(self, epochs: int, *, interval: int, min_epochs: int | None, aim: Objective = LOSS) -> None:
        super().__init__(epochs, aim=aim)
        self.interval = interval
        self.min_epochs = min_epochs or -(-epochs // 2)

    def rungs(self) -> tuple[int, ...]:
        return tuple(range(self.min_epochs, self.epochs, self.interval))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        ranked = sorted(self.loss_at(peer, rung) for peer in peers)
        lower, upper = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
        # The losses are halved before they are added, because the sum may overflow. Halves may underflow: hence max.
        return self.no_worse(judged, rung, max(lower, lower / 2 + upper / 2))


class NoPruner(PeerPruner):
    """No pruning: every trial trains to its end."""

    def rungs(self) -> tuple[int, ...]:
        return ()

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        del peers, rung
        return [True] * len(judged)


def build(spec: Pruner, epochs: int, *, objectives: Objectives = VAL_LOSS, constant: float | None = None) -> PeerPruner:
    """Build the pruner that a recipe names.

    Args:
        spec: the recipe's pruner and its options.
        epochs: the most epochs that a trial trains.
        objectives: the objectives of the study.
        constant: the first objective of the best constant predictor, which the Pareto pruner compares trials with; by
            default every trial is better.

    Raises:
        RequestError: the pruner forecasts, and the best possible value of the objective is not known.
    """
    aim = objectives.first
    if spec.name == "halving":
        return HalvingPruner(epochs, factor=spec.reduction_factor, min_epochs=spec.min_epochs, aim=aim)
    if spec.name == "hyperband":
        return HyperbandPruner(epochs, factor=spec.reduction_factor, min_epochs=spec.min_epochs, aim=aim)
    if spec.name == "median":
        return MedianPruner(epochs, interval=spec.interval, min_epochs=spec.min_epochs, aim=aim)
    if spec.name in ("curve", "forecast"):
        if aim.best is None:
            raise RequestError(
                f"pruner {spec.name} forecasts how near a trial comes to the best possible {aim.name}, which is not"
                f" known: give it with Metric(best=...), or choose pruner halving or median"
            )
        forecasting = CurvePruner if spec.name == "curve" else ForecastPruner
        return forecasting(epochs, min_epochs=spec.min_epochs, aim=aim)
    if spec.name == "pareto":
        return ParetoPruner(epochs, min_epochs=spec.min_epochs, objectives=objectives, constant=constant)
    return NoPruner(epochs, aim=aim)


def of(
    recipe: Recipe, space: Space, objectives: Objectives, batches: Batches, loss: str, metrics: Sequence[Metric] = ()
) -> PeerPruner:
    """Build the pruner of a study, with its objectives and its best constant predictor.

    Args:
        recipe: the recipe, which names the pruner.
        space: the space of the study.
        objectives: its objectives.
        batches: its data.
        loss: the name of its loss.
        metrics: the metrics that it measures.
    """
    constant = constant_value(batches, loss, objectives.first, metrics) if objectives.several else None
    return build(recipe.pruner, space.longest(), objectives=objectives, constant=constant)
