"""The interval of a mean of skewed values, such as the cross-entropy of rows: small for most, and large for a few.

A sample that lacks large values has a mean and a standard deviation that are both too small, so Student's interval
misses the truth above far more often than below. With the standard error s of the mean x, its t quantile q, and the
asymmetry

``a = skewness / sqrt(n)``,

the ends are ``x - s g(q)`` and ``x - s g(-q)``, where

``g(y) = 3 / a ((1 + a (y - a / 6))^(1/3) - 1)``,

which is y for a = 0.

Source: Hall, "On the removal of skewness by transformation" (Journal of the Royal Statistical Society B 54, 1992).
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtrit

from search.statistics.crossed import CONFIDENCE, Estimate, Floats

_LEAST = 1e-6


def asymmetry(values: Floats) -> float:
    """Return the skewness of the mean of values ``(n,)``: their own divided by the root of n; 0 if they do not vary."""
    deviations = values - values.mean()
    spread = float(np.sqrt(np.square(deviations).mean()))
    if spread == 0:
        return 0.0
    return float((deviations**3).mean() / spread**3 / np.sqrt(len(values)))


def skewed_interval(estimate: Estimate, asymmetry: float) -> tuple[float, float]:
    """Return the low and high ends of the 95% interval of an estimate with this asymmetry."""
    q = float(stdtrit(estimate.freedom, 1 - (1 - CONFIDENCE) / 2))
    value, error = float(estimate.value), float(np.sqrt(estimate.variance))
    return value - error * _untransformed(q, asymmetry), value - error * _untransformed(-q, asymmetry)


def _untransformed(y: float, asymmetry: float) -> float:
    if abs(asymmetry) < _LEAST:
        return y
    return float(3 / asymmetry * (np.cbrt(1 + asymmetry * (y - asymmetry / 6)) - 1))
