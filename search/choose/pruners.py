"""The rules by which a cohort is judged at a rung, by name; `search.choose.peers` says who is judged.

The rules that rank trials (halving, median) first judge at half of the epochs by default, later than elsewhere, as
regularisation pays late: of 64 L2 strengths on digits the five that are best after 100 epochs rank 33rd to 38th at
epoch 11 and are all among the first six at epoch 50. A rung where the unregularised lead would prune away the answer.
The rule that forecasts (curve) sees that they still improve, and judges from a sixth of the epochs on.
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
    """Hyperband: successive halving in leagues that begin to judge at m, m f, m f^2 ... epochs.

    A trial's league follows from its ticket alone, in the proportions that give each league about the same epochs. One
    league is never judged, so an early rung that misleads cannot lose the answer: m is epochs / f^2 by default.

    Source: Li et al., "Hyperband: a novel bandit-based approach to hyperparameter optimization" (JMLR 2018).
    """

    def __init__(self, epochs: int, *, factor: int, min_epochs: int | None) -> None:
        super().__init__(epochs, factor=factor, min_epochs=min_epochs or max(1, round(epochs / factor**2)))

    def league(self, trial: FrozenTrial) -> int:
        count = len(self.rungs()) + 1
        # A league that starts judging later trains longer: it gets fewer trials, as Hyperband's brackets do.
        shares = [math.ceil(count * self.factor ** (count - 1 - league) / (count - league)) for league in range(count)]
        drawn = streams.key("hyperband", trial.user_attrs.get(TICKET, trial.number)) % sum(shares)
        for league, share in enumerate(shares):
            if drawn < share:
                return league
            drawn -= share
        raise AssertionError("unreachable: drawn < sum(shares)")

    def is_judged(self, trial: FrozenTrial, rung: int) -> bool:
        return rung in self.rungs()[self.league(trial) :]


class MedianPruner(PeerPruner):
    """The median rule: every `interval` epochs from `min_epochs` on, those worse than the median of their peers stop.

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
        # Halved first, as the sum may overflow; not below the lower one, as halves may underflow.
        return _no_worse(judged, rung, max(lower, lower / 2 + upper / 2))


class CurvePruner(PeerPruner):
    """The performance curve rule: a trial stops when even an optimistic forecast of it falls behind what peers have.

    With L the objective so far and e' about half of e epochs, the improvement from e' to e goes on as a power of the
    epochs to the last one, E:

        forecast = L(e) (L(e) / L(e'))^p,    p = log(E / e) / log(e / e')

    A trial goes on if its forecast is no worse than what the best 1/f of its peers (f = 8, at least one) have now, at
    the same rung. Learning curves mostly flatten on logarithmic axes, so the forecast errs to the trial's favour. A
    trial that no longer improves (the objective so far is a running minimum) is judged by what it has, a late bloomer
    by where it is going. Objectives are losses, not negative: zero is the best forecast.

    Rungs are a factor of sqrt(2) apart, so e' is two before e: the first two judge nobody. The first is at
    `min_epochs`, by default 2^-3.5 of all epochs, so that judging begins at about a sixth. These and f were chosen by
    `benchmarks/pruning.py`: earlier, a dip of the first epochs passes for an end.

    Source: Golovin et al., "Google Vizier" (KDD 2017), section 3.2; Domhan et al., "Speeding up automatic
    hyperparameter optimization of deep neural networks by extrapolation of learning curves" (IJCAI 2015). Of their
    curves this has the power law with its limit at zero, which is not fitted.
    """

    factor = 8

    def __init__(self, epochs: int, *, min_epochs: int | None) -> None:
        super().__init__(epochs)
        self.min_epochs = min_epochs or max(1, round(epochs / 2**3.5))

    def rungs(self) -> tuple[int, ...]:
        found = {round(self.epochs / 2 ** (half / 2)) for half in range(1, 2 * self.epochs.bit_length() + 1)}
        return tuple(sorted(rung for rung in found if self.min_epochs <= rung < self.epochs))

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        bar = _bar([_at(peer, rung) for peer in peers], self.factor)
        return [math.isfinite(forecast := self._forecast(trial, rung)) and forecast <= bar for trial in judged]

    def _forecast(self, trial: FrozenTrial, rung: int) -> float:
        """The objective at the last epoch: 0 before a doubling has been seen, infinite where it was never finite."""
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
    """Every trial trains to its end."""

    def rungs(self) -> tuple[int, ...]:
        return ()

    def survivors(self, judged: Sequence[FrozenTrial], peers: Sequence[FrozenTrial], rung: int) -> list[bool]:
        del peers, rung
        return [True] * len(judged)


def build(spec: Pruner, epochs: int, *, objectives: Objectives = VAL_LOSS, constant: float = math.inf) -> PeerPruner:
    """The pruner of a recipe.

    Args:
        epochs: the most epochs that a trial trains.
        objectives: of the study.
        constant: the validation loss of the best constant predictor; a trial of several objectives is to beat it.
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
    """The pruner of a study."""
    objectives = Objectives(recipe.objective)
    constant = constant_loss(batches, loss) if objectives.several else math.inf
    return build(recipe.pruner, space.longest(), objectives=objectives, constant=constant)


def _at(trial: FrozenTrial, rung: int) -> float:
    """A trial's objective at a rung that it has reached; infinite where it is not finite."""
    values = at(trial, rung)
    return _ranked(values[0] if values else None)


def _ranked(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.inf


def _bar(values: Sequence[float], factor: int) -> float:
    """The worst of the best 1/factor, at least one, of the values."""
    return sorted(values)[max(1, len(values) // factor) - 1]


def _no_worse(judged: Sequence[FrozenTrial], rung: int, bar: float) -> list[bool]:
    """Which are finite and at most the bar at a rung."""
    return [math.isfinite(value := _at(trial, rung)) and value <= bar for trial in judged]
