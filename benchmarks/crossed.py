"""Simulate comparisons of two settings whose true difference is known; `coverage.py` and the tests use them.

Replicates and test examples are both drawn. The data are discrete or skewed, and crossed: an example is hard for every
replicate, a replicate is good or bad for every example, and both settings are tested on the same examples. The true
difference is that over all examples and all replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from search.statistics.crossed import Floats, crossed, root

_CELLS = 4_000_000  # cells of tables that are simulated at once


@dataclass(frozen=True)
class Latent:
    """The latent score of a setting on an example, a sum of independent effects.

    ``z = mean + shared difficulty of the example + own effect of the example + effect of the replicate + noise``

    The difficulty is exponential, less its mean; the other effects are normal. The fields are standard deviations.
    """

    shared: float
    own: float
    replicate: float
    noise: float

    @property
    def normal(self) -> float:
        """The standard deviation of the normal effects together."""
        return float(np.sqrt(self.own**2 + 2 * self.replicate**2 + self.noise**2))

    def draw(self, rng: np.random.Generator, means: list[float], shape: tuple[int, int, int]) -> list[Floats]:
        """Draw a table ``comparisons x replicates x examples`` for each setting."""
        count, replicates, examples = shape
        common = self.shared * (rng.exponential(size=(count, 1, examples)) - 1)
        common = common + self.replicate * rng.normal(size=(count, replicates, 1))
        own = ((self.own, (count, 1, examples)), (self.replicate, (count, replicates, 1)), (self.noise, shape))
        return [mean + common + sum(sd * rng.normal(size=size) for sd, size in own) for mean in means]


Score = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Design:
    """Two settings, by their latent means, with the score of a latent value and the true mean score."""

    name: str
    latent: Latent
    means: tuple[float, float]
    score: Score
    expected: Callable[[Latent, float], float]
    rooted: bool = False

    @property
    def truth(self) -> float:
        """The true difference of mean scores, or of root mean scores (`rooted`)."""
        a, b = (self.expected(self.latent, mean) for mean in self.means)
        return float(np.sqrt(a) - np.sqrt(b)) if self.rooted else a - b

    def tables(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
        """Draw paired differences, ``comparisons x replicates x examples``."""
        a, b = map(self.score, self.latent.draw(rng, list(self.means), shape))
        return root(a) - root(b) if self.rooted else a - b


def _right(z: Floats) -> Floats:
    return (z > 0).astype(np.float64)


def _share_right(latent: Latent, mean: float) -> float:
    quantiles = -np.log1p(-(np.arange(200_000) + 0.5) / 200_000) - 1
    return float(ndtr((mean + latent.shared * quantiles) / latent.normal).mean())


def _mean_exponential(latent: Latent, mean: float) -> float:
    # The mean of exp(-z / 2); an exponential X of rate 1 has E exp(-t X) = 1 / (1 + t).
    t = latent.shared / 2
    return float(np.exp(-mean / 2 + t + latent.normal**2 / 8) / (1 + t))


def _mean_square(latent: Latent, mean: float) -> float:
    return mean**2 + latent.shared**2 + latent.normal**2


DESIGNS = (
    Design("accuracy, examples", Latent(1.0, 0.6, 0.05, 0.3), (1.0, 1.3), _right, _share_right),
    Design("accuracy, both", Latent(1.0, 0.3, 0.1, 0.5), (1.0, 1.1), _right, _share_right),
    Design("skewed loss", Latent(1.0, 0.4, 0.1, 0.5), (1.0, 1.2), lambda z: np.exp(-z / 2), _mean_exponential),
    Design("rmse", Latent(1.0, 0.5, 0.1, 0.5), (0.0, 0.4), np.square, _mean_square, rooted=True),
)


@dataclass(frozen=True)
class Share:
    """The shares of 95% intervals that contain the truth: ours, and the t test's over replicates alone."""

    crossed: float
    replicates_alone: float


def held(design: Design, *, comparisons: int, replicates: int, examples: int, seed: int) -> Share:
    """Return the shares of intervals that contain the true difference."""
    rng, ours, alone = np.random.default_rng(seed), 0, 0
    for count in _chunks(comparisons, replicates * examples):
        table = design.tables(rng, (count, replicates, examples))
        ours += int(contains(table, design.truth).sum())
        # The mean over examples in place of each example leaves only the replicates to vary.
        alone += int(contains(np.repeat(table.mean(-1, keepdims=True), 2, axis=-1), design.truth).sum())
    return Share(ours / comparisons, alone / comparisons)


def contains(table: Floats, truth: float) -> NDArray[np.bool_]:
    """Return whether the interval of each table contains the truth."""
    low, high = crossed(table).interval()
    return (low <= truth) & (truth <= high)


def equal_arms(arms: int, *, comparisons: int, replicates: int, examples: int, seed: int) -> float:
    """Return how often any pair of settings is told apart that are equal in truth, though not on each example."""
    rng, told = np.random.default_rng(seed), 0
    family = arms * (arms - 1) // 2
    latent = DESIGNS[0].latent
    for count in _chunks(comparisons, arms * replicates * examples):
        tables = [_right(z) for z in latent.draw(rng, [1.0] * arms, (count, replicates, examples))]
        apart = np.zeros(count, dtype=bool)
        for a, b in combinations(tables, 2):
            low, high = crossed(a - b).interval(family)
            apart |= (low > 0) | (high < 0)
        told += int(apart.sum())
    return told / comparisons


def _chunks(total: int, cells: int) -> Iterator[int]:
    most = max(1, _CELLS // cells)
    while total > 0:
        yield min(most, total)
        total -= most
