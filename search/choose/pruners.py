"""The rules by which a cohort is judged at a rung, by name; `search.choose.peers` says which trials are judged.

The rules that rank trials (halving, median) first judge at half of the epochs by default. This is later than elsewhere,
because regularisation pays late: of 64 L2 strengths on digits, the five that are best after 100 epochs rank 33rd to
38th at epoch 11, and are all among the first six at epoch 50. An early rung, where unregularised trials lead, would
prune the best ones. The rule that forecasts (curve) sees that these still improve, and judges from a sixth of the
epochs on.

`survivors(judged, peers, rung)` is what a pruner has to say: `judged` are the running trials of the cohort, `peers` all
trials they are compared with, themselves included, and `at(trial, rung)` is what each had at the rung.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optuna.trial import FrozenTrial

from search.choose.pareto import ParetoPruner
from search.choose.peers import TICKET, PeerPruner, at
from search.recipe import Recipe
from search.recipe.schema import Pruner
from search.recipe.space import Space
from search.record.objectives import VAL_LOSS, Objectives
from search.train import streams
from search.train.batches import Batches
from search.train.constant import constant_loss


class HalvingPruner(PeerPruner):
    """Successive halving: at epochs m, m f, m f^2 ... the best 1/f of all peers at the rung go on, at least one.

    m is `min_epochs`, by default half of all epochs.

    Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization"
    (AISTATS 2016); Li et al., "A system for massively parallel hyperparameter tuning" (MLSys 2020).
    """

    def __init__(self, epochs: int, *, factor: int, min_epochs: int | None) -> None:
        super().__init__(epochs)
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
        return _no_worse(judged, rung, _bar([_at(peer, rung) for peer in peers], self.factor))


class HyperbandPruner(HalvingPruner):
    """Hyperband: successive halving in brackets whose first rungs are at m, m f, m f^2 ... epochs.

    The bracket of a trial follows from its ticket alone; the shares of the brackets give each about the same number of
    epochs. One bracket is never judged, so that a misleading early rung cannot prune every good trial. Therefore m is
    early by default: epochs / f^2.

    Source: Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization" (JMLR 2018).
    """

    def __init__(self, epochs: int, *, factor: int, min_epochs: int | None) -> None:
        super().__init__(epochs, factor=factor, min_epochs=min_epochs or max(1, round(epochs / factor**2)))

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

    def __init__(self, epochs: int, *, interval: int, min_epochs: int | None) -> None:
        super().__init__(epochs)
        self.interval = interval
        self.min_epochs = min_epochs or -(-epochs // 2)

    def rungs(self) -> tuple[int, ...]:
        return tuple(range(self.min_epochs, self.epochs, self.interval))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        ranked = sorted(_at(peer, rung) for peer in peers)
        lower, upper = ranked[(len(ranked) - 1) // 2], ranked[len(ranked) // 2]
        # The values are halved before they are added, because the sum may overflow. Halves may underflow: hence max.
        return _no_worse(judged, rung, max(lower, lower / 2 + upper / 2))


class CurvePruner(PeerPruner):
    """The performance curve rule: a trial stops if even an optimistic forecast of it falls behind its peers.

    Let L be the objective so far and e' about half of e epochs. The forecast assumes that the improvement from e' to e
    goes on as a power of the epochs until the last one, E:

        forecast = L(e) (L(e) / L(e'))^p,    p = log(E / e) / log(e / e')

    A trial survives if its forecast is no worse than the objective so far of the best 1/f of its peers (f = 8, at least
    one peer) at the same rung. Learning curves mostly flatten on logarithmic axes, so the forecast errs in the trial's
    favour. A trial that no longer improves (the objective so far is a running minimum) is judged by its present value,
    a late bloomer by its forecast. Objectives are losses, which are not negative: the best forecast is zero.

    Rungs are a factor of sqrt(2) apart, so that e' is two rungs before e, and no trial is judged at the first two. The
    first is at `min_epochs`, by default 2^-3.5 of all epochs, so that judging begins at about a sixth of them. These
    and f were chosen by `benchmarks/pruning.py`: earlier, a trial that pauses in its first epochs would be stopped.

    Source: Golovin et al., "Google Vizier" (KDD 2017), section 3.2; Domhan et al., "Speeding up automatic
    hyperparameter optimization of deep neural networks by extrapolation of learning curves" (IJCAI 2015). Of their
    curves, this is the power law whose limit is zero; it is not fitted.
    """

    factor = 8

    def __init__(self, epochs: int, *, min_epochs: int | None) -> None:
        super().__init__(epochs)
        self.min_epochs = min_epochs or max(1, round(epochs / 2**3.5))

    def rungs(self) -> tuple[int, ...]:
        rungs = {round(self.epochs / 2 ** (half / 2)) for half in range(1, 2 * self.epochs.bit_length() + 1)}
        return tuple(sorted(rung for rung in rungs if self.min_epochs <= rung < self.epochs))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        bar = _bar([_at(peer, rung) for peer in peers], self.factor)
        return [math.isfinite(forecast := self._forecast(trial, rung)) and forecast <= bar for trial in judged]

    def _forecast(self, trial: FrozenTrial, rung: int) -> float:
        """Return the forecast at the last epoch: 0 at the first two rungs, infinite if the loss never was finite."""
        rungs = self.rungs()
        index = rungs.index(rung)
        now = _ranked(trial.intermediate_values[rung])
        if index < 2 or not math.isfinite(now):
            return 0.0 if math.isfinite(now) else math.inf
        earlier = rungs[index - 2]
        before = _ranked(trial.intermediate_values.get(earlier))
        if now >= before:
            return now
        power = math.log(self.epochs / rung) / math.log(rung / earlier)
        return float(now * (now / before) ** power)


class NoPruner(PeerPruner):
    """No pruning: every trial trains to its end."""

    def rungs(self) -> tuple[int, ...]:
        return ()

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        del peers, rung
        return [True] * len(judged)


def build(spec: Pruner, epochs: int, *, objectives: Objectives = VAL_LOSS, constant: float = math.inf) -> PeerPruner:
    """Build the pruner that a recipe names.

    Args:
        spec: the recipe's pruner and its options.
        epochs: the most epochs that a trial trains.
        objectives: the objectives of the study.
        constant: the validation loss of the best constant predictor, which the Pareto pruner compares trials with.
    """
    if spec.name == "halving":
        return HalvingPruner(epochs, factor=spec.reduction_factor, min_epochs=spec.min_epochs)
    if spec.name == "hyperband":
        return HyperbandPruner(epochs, factor=spec.reduction_factor, min_epochs=spec.min_epochs)
    if spec.name == "median":
        return MedianPruner(epochs, interval=spec.interval, min_epochs=spec.min_epochs)
    if spec.name == "curve":
        return CurvePruner(epochs, min_epochs=spec.min_epochs)
    if spec.name == "pareto":
        return ParetoPruner(epochs, min_epochs=spec.min_epochs, objectives=objectives, constant=constant)
    return NoPruner(epochs)


def of(recipe: Recipe, space: Space, batches: Batches, loss: str) -> PeerPruner:
    """Build the pruner of a study, with its objectives and its best constant predictor."""
    objectives = Objectives(recipe.objective)
    constant = constant_loss(batches, loss) if objectives.several else math.inf
    return build(recipe.pruner, space.longest(), objectives=objectives, constant=constant)


def _at(trial: FrozenTrial, rung: int) -> float:
    """Return a trial's objective at a rung that it has reached; infinite if it is not finite."""
    values = at(trial, rung)
    return _ranked(values[0] if values else None)


def _ranked(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.inf


def _bar(values: Sequence[float], factor: int) -> float:
    """Return the worst of the best 1/factor of the values, of one value at least."""
    return sorted(values)[max(1, len(values) // factor) - 1]


def _no_worse(judged: Sequence[FrozenTrial], rung: int, bar: float) -> list[bool]:
    """Return for each judged trial whether it is finite, and no worse than the bar, at a rung."""
    return [math.isfinite(value := _at(trial, rung)) and value <= bar for trial in judged]
