"""The mean of sampled values with its uncertainty: of independent rows, or of the folds of a cross-validation.

n values x_1 ... x_n with standard deviation s have the mean x. Its variance is estimated as

``(1 / n + overlap) s^2``.

For independent values the overlap is 0. The values of folds are not independent, because any two folds share training
rows; there the overlap is n_val / n_train, the rows of a fold. The interval is Student's t with n - 1 degrees of
freedom.

Source: Nadeau and Bengio, "Inference for the generalization error" (Machine Learning 52, 2003); for repeated folds,
Bouckaert and Frank, "Evaluating the replicability of significance tests" (PAKDD 2004).
"""

from __future__ import annotations

import numpy as np

from search.statistics.crossed import Estimate, Floats


def sampled(values: Floats, overlap: float = 0.0) -> Estimate:
    """Estimate the mean of values ``... x n``.

    Args:
        values: the values.
        overlap: validation rows by training rows of a fold (`search.data.folds.overlap`); 0 for independent values.

    Raises:
        ValueError: there are fewer than two values.
    """
    count = values.shape[-1]
    if count < 2:
        raise ValueError(f"takes two values or more, got {count}")
    squared = np.asarray(values.var(-1, ddof=1))
    mean = np.asarray(values.mean(-1))
    return Estimate(
        mean, (1 / count + overlap) * squared, np.full_like(mean, count - 1), np.sqrt(squared), np.ones_like(mean)
    )
