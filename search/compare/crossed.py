"""Whether two trained settings differ, where both the replicates and the test examples are a sample: pure numpy.

Of replicate r = 1 ... R and test example i = 1 ... n let ``d[r, i]`` be the paired difference of two settings. Another
search would draw other replicates, and other test examples would do as well, so both are random and crossed:

``d[r, i] = mu + a_r + b_i + e_ri``, independent, with variances ``A``, ``B`` and ``E``.

The estimate is the mean over all cells, of variance ``A / R + B / n + E / (R n)``. The mean squares of the two-way
table without repetition have the expectations

- ``MS_r = n sum_r (d[r, .] - d[., .])^2 / (R - 1)``, ``n A + E``: ``MS_r / n`` is the variance of row means;
- ``MS_i = R sum_i (d[., i] - d[., .])^2 / (n - 1)``, ``R B + E``;
- ``MS_e = sum_ri (d[r, i] - d[r, .] - d[., i] + d[., .])^2 / ((R - 1) (n - 1))``, ``E``.

So ``V = (MS_r + MS_i - MS_e) / (R n)`` has exactly the variance of the estimate for its expectation: the residual is
in both other mean squares, and is taken off once. Where one of these is below MS_e its component, A or B, would come
out negative; it is taken for 0, which leaves ``V = MS_i / (R n)`` or ``MS_r / (R n)``, the larger of the two. So V is
never below what either source alone gives, and is 0 only where all cells are equal. A t interval has the degrees of
freedom of Satterthwaite, ``(sum c_k MS_k)^2 / sum (c_k MS_k)^2 / f_k`` over the mean squares in V.

Without variance between examples this is the paired t test over replicates, without variance between replicates that
over examples. A t test over replicates alone answers for the test examples at hand and for no others.

Sources: Owen, "The pigeonhole bootstrap" (Annals of Applied Statistics 1, 2007); Owen and Eckles, "Bootstrapping data
arrays of arbitrary order" (ibid. 6, 2012); Searle, Casella and McCulloch, "Variance components" (1992), ch. 4;
Satterthwaite, "An approximate distribution of estimates of variance components" (Biometrics Bulletin 2, 1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """Means over crossed tables and how sure they are, each of the shape of the tables' leading dimensions.

    Attributes:
        value: the mean over replicates and examples.
        variance: of that mean.
        freedom: the degrees of freedom of `variance`.
        spread: the standard deviation of the replicates' means.
        of_examples: the share of `variance` that is due to the examples, ``(B / n) / V``: no replicate lessens it.
    """

    value: Floats
    variance: Floats
    freedom: Floats
    spread: Floats
    of_examples: Floats

    def interval(self, family: int = 1) -> tuple[Floats, Floats]:
        """Low and high; all the intervals of a family hold at once with 95% (Bonferroni)."""
        half = stdtrit(self.freedom, 1 - (1 - CONFIDENCE) / (2 * family)) * np.sqrt(self.variance)
        return self.value - half, self.value + half

    def p(self, family: int = 1) -> Floats:
        """Two-sided, times the family's size: below 5% exactly where the interval excludes 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.value == 0, 0.0, np.abs(self.value) / np.sqrt(self.variance))
        return np.asarray(np.minimum(1.0, family * 2 * stdtr(self.freedom, -t)))


def crossed(table: Floats) -> Estimate:
    """The mean of tables ``... x replicates x examples`` over both, each a sample.

    Raises:
        ValueError: fewer than two replicates or examples.
    """
    replicates, examples = table.shape[-2:]
    if replicates < 2 or examples < 2:
        raise ValueError(f"takes two replicates and two examples or more, got {replicates} x {examples}")
    value = table.mean((-1, -2))
    middle = value[..., None]
    rows, columns = table.mean(-1) - middle, table.mean(-2) - middle
    residual = table - middle[..., None] - rows[..., None] - columns[..., None, :]
    freedoms = (replicates - 1, examples - 1, (replicates - 1) * (examples - 1))
    by_replicate = examples * np.square(rows).sum(-1) / freedoms[0]
    by_example = replicates * np.square(columns).sum(-1) / freedoms[1]
    rest = np.square(residual).sum((-1, -2)) / freedoms[2]
    whole = np.maximum(by_replicate + by_example - rest, np.maximum(by_replicate, by_example))
    both = (by_replicate >= rest) & (by_example >= rest)
    # Of the mean squares those that `whole` is made of.
    squares = (
        np.where(both | (by_replicate > by_example), np.square(by_replicate), 0) / freedoms[0]
        + np.where(both | (by_replicate <= by_example), np.square(by_example), 0) / freedoms[1]
        + np.where(both, np.square(rest), 0) / freedoms[2]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(squares > 0, np.square(whole) / squares, freedoms[0])
        of_examples = np.where(whole > 0, np.maximum(by_example - rest, 0) / whole, 0.0)
    spread = np.sqrt(by_replicate / examples)
    return Estimate(value, np.asarray(whole / (replicates * examples)), freedom, spread, of_examples)


def unseen(examples: int, family: int = 1) -> float:
    """How large the share of a kind of example may be of which none is among so many: 95% sure, two-sided.

    The end of the interval of Clopper and Pearson (1934): ``1 - 0.025^(1 / n)``, near ``3.7 / n``; the rule of three,
    ``3 / n``, is the same one-sided (Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", 1983).
    """
    return float(1 - ((1 - CONFIDENCE) / (2 * family)) ** (1 / examples))


def root(squares: Floats) -> Floats:
    """A table whose mean is the root of the mean of `squares` (``... x replicates x examples``), by the delta method.

    ``sqrt(m) + (s - m) / (2 sqrt(m))`` with m the mean over both: what each cell adds to the root mean squared error,
    to first order. So a difference of two RMSEs is a mean over cells too, and has the interval of one.
    """
    middle = squares.mean((-1, -2), keepdims=True)
    scale = np.sqrt(middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(middle > 0, scale + (squares - middle) / (2 * scale), 0.0))
