"""Intervals for the difference of two trained settings, where both replicates and test examples are samples.

Let ``d[r, i]`` be the paired difference of two settings for replicate r = 1 ... R and test example i = 1 ... n. Other
replicates and other test examples could have been drawn just as well, so both are random effects, and they are crossed:

``d[r, i] = mu + a_r + b_i + e_ri``, independent, with variances ``A``, ``B`` and ``E``.

The estimate is the mean over all cells; its variance is ``A / R + B / n + E / (R n)``. The mean squares of the two-way
table without repetition and their expectations are

- ``MS_r = n sum_r (d[r, .] - d[., .])^2 / (R - 1)``, ``n A + E``: ``MS_r / n`` is the variance of the row means;
- ``MS_i = R sum_i (d[., i] - d[., .])^2 / (n - 1)``, ``R B + E``;
- ``MS_e = sum_ri (d[r, i] - d[r, .] - d[., i] + d[., .])^2 / ((R - 1) (n - 1))``, ``E``.

So ``V = (MS_r + MS_i - MS_e) / (R n)`` is an unbiased estimate of that variance: both other mean squares contain the
residual, which is subtracted once. Where MS_r or MS_i is below MS_e, its component (A or B) would be negative. That
component is set to 0, which leaves ``V = MS_i / (R n)`` or ``MS_r / (R n)``, whichever is larger. So V is never below
what either source alone gives, and is 0 only where all cells are equal. The t interval has Satterthwaite's degrees of
freedom, ``(sum c_k MS_k)^2 / sum (c_k MS_k)^2 / f_k`` over the mean squares in V.

Without variance between examples, this is the paired t test over replicates; without variance between replicates, it is
the paired t test over examples. A t test over replicates alone holds for these test examples only.

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
    """Means of crossed tables and their uncertainty; every array has the leading dimensions of the tables.

    Attributes:
        value: the mean over replicates and examples.
        variance: the variance of that mean.
        freedom: the degrees of freedom of `variance`.
        spread: the standard deviation of the replicates' means.
        example_share: the share of `variance` that is due to the examples, ``(B / n) / V``; more replicates don't
            reduce this part.
    """

    value: Floats
    variance: Floats
    freedom: Floats
    spread: Floats
    example_share: Floats

    def interval(self, family: int = 1) -> tuple[Floats, Floats]:
        """Return the low and high ends; all intervals of a family of so many hold together with 95% (Bonferroni)."""
        half = stdtrit(self.freedom, 1 - (1 - CONFIDENCE) / (2 * family)) * np.sqrt(self.variance)
        return self.value - half, self.value + half

    def p(self, family: int = 1) -> Floats:
        """Return the two-sided p value times the family's size, below 5% exactly where the interval excludes 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(self.value == 0, 0.0, np.abs(self.value) / np.sqrt(self.variance))
        return np.asarray(np.minimum(1.0, family * 2 * stdtr(self.freedom, -t)))


def crossed(table: Floats, known: tuple[float, int] | None = None) -> Estimate:
    """Estimate the mean of tables ``... x replicates x examples``, where replicates and examples are both samples.

    Args:
        table: the tables.
        known: a variance of the replicates' means that is known from other tables, with its degrees of freedom. Two
            replicates have one degree of freedom, which tells nothing; so it takes the place of their own, unless
            theirs is larger.

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
    if known is not None:
        by_replicate = np.maximum(by_replicate, examples * known[0])
        freedoms = (known[1], *freedoms[1:])
    by_example = replicates * np.square(columns).sum(-1) / freedoms[1]
    rest = np.square(residual).sum((-1, -2)) / freedoms[2]
    whole = np.maximum(by_replicate + by_example - rest, np.maximum(by_replicate, by_example))
    both = (by_replicate >= rest) & (by_example >= rest)
    # The denominator of Satterthwaite's formula: only the mean squares that `whole` consists of.
    squares = (
        np.where(both | (by_replicate > by_example), np.square(by_replicate), 0) / freedoms[0]
        + np.where(both | (by_replicate <= by_example), np.square(by_example), 0) / freedoms[1]
        + np.where(both, np.square(rest), 0) / freedoms[2]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(squares > 0, np.square(whole) / squares, freedoms[0])
        example_share = np.where(whole > 0, np.maximum(by_example - rest, 0) / whole, 0.0)
    spread = np.sqrt(by_replicate / examples)
    return Estimate(value, np.asarray(whole / (replicates * examples)), freedom, spread, example_share)


def unseen(examples: int, family: int = 1) -> float:
    """Return the upper end of the two-sided 95% interval for the share of an event not seen in so many examples.

    This is the interval of Clopper and Pearson (1934): ``1 - 0.025^(1 / n)``, about ``3.7 / n``. The rule of three,
    ``3 / n``, is its one-sided counterpart (Hanley and Lippman-Hand, "If nothing goes wrong, is everything all
    right?", 1983).
    """
    return float(1 - ((1 - CONFIDENCE) / (2 * family)) ** (1 / examples))


def root(squares: Floats) -> Floats:
    """Return a table whose mean is the root of the mean of `squares`, ``... x replicates x examples``.

    By the delta method, each cell s contributes ``sqrt(m) + (s - m) / (2 sqrt(m))`` to the root mean squared error to
    first order, where m is the mean over both dimensions. So a difference of two RMSEs is a mean over cells as well,
    and has the interval of a mean.
    """
    middle = squares.mean((-1, -2), keepdims=True)
    scale = np.sqrt(middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(middle > 0, scale + (squares - middle) / (2 * scale), 0.0))
