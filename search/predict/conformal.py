"""Prediction intervals and prediction sets by split conformal prediction.

The score s of a validation row says how far off its prediction was: |y - f(x)| for a number, 1 - p(y | x) for a class.
With n validation rows, let q be their k-th smallest score, k = ceil((n + 1) * level). Then

    interval of a number    [f(x) - q, f(x) + q]
    set of classes          every class with 1 - p(class | x) <= q

holds the truth of a new row with a probability of at least `level`, and of k / (n + 1) exactly if no scores are equal.
This is so for any network and any distribution, as long as the new row and the validation rows are exchangeable. Here
the validation rows also chose the trial and its best epoch, so the coverage may be a little lower. Rows count equally,
whatever their weights.

Sources: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world" (2005); Lei et al., "Distribution-free
predictive inference for regression" (JASA 2018), theorem 2.2.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from search.data import Data
from search.errors import RequestError, counted
from search.train.model_file import Model
from search.train.model_parts import SCORES


def with_scores(model: Model, data: Data) -> Model:
    """Return the model with the scores of the validation rows, unless it was trained on them.

    Args:
        model: the model.
        data: the data on which it was trained.
    """
    meta = model.meta
    if _refitted(model):
        return model
    outputs, y = model.outputs(data.x_val.cpu()), data.y_val.cpu()
    targets = model.targets
    scores = 1 - outputs.gather(1, y[:, None]) if targets is None else (targets.invert(y) - outputs).abs()
    tensors = {**model.tensors, SCORES: scores.sort(dim=0).values.contiguous()}
    return replace(model, meta=meta.model_copy(update={"scored_rows": len(scores)}), tensors=tensors)


def _refitted(model: Model) -> bool:
    """Return whether the validation rows have trained the model too."""
    epochs = [model.meta.refit_epochs, *(member.refit_epochs for member in model.meta.members)]
    return any(one is not None for one in epochs)


def validate_level(level: float) -> float:
    """Return a level between 0 and 1.

    Raises:
        RequestError: it is not.
    """
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise RequestError(f"interval takes a share between 0 and 1, such as 0.9, got {level!r}")
    return level


def rank(rows: int, level: float) -> int:
    """Return k = ceil((rows + 1) * level), where the level is the decimal number as it is written.

    Raises:
        RequestError: there are too few validation rows for this level.
    """
    # In binary, 0.7 * 10 is more than 7.
    exact = Fraction(str(validate_level(level)))
    k = math.ceil((rows + 1) * exact)
    if k > rows:
        raise RequestError(
            f"interval {level:g} needs at least {counted(math.ceil(exact / (1 - exact)), 'validation row')}, and the"
            f" model has {rows}: the largest share is {math.floor(1000 * rows / (rows + 1)) / 1000:g}"
        )
    return k


def quantile(model: Model, level: float) -> Tensor:
    """Return the score q that intervals of this level take, for each output ``(outputs,)``, or ``(1,)`` of classes.

    Raises:
        RequestError: the level is not between 0 and 1, there are too few validation rows for it, or the model does not
            hold their scores.
    """
    validate_level(level)
    rows = model.meta.scored_rows
    if not rows:
        older = "it was exported by an older version: export it again"
        refitted = "it was trained on them too: export it without --refit, or predict by the study"
        why = refitted if _refitted(model) else older
        raise RequestError(f"interval needs the errors for validation rows, which the model does not hold: {why}")
    return model.tensors[SCORES][rank(rows, level) - 1]


def statement(model: Model, level: float) -> str:
    """Say how often the intervals hold the truth, and on what this rests."""
    rows = model.meta.scored_rows
    what = "sets" if model.meta.task == "classification" else "intervals"
    each = ", for each target by itself" if model.meta.widths[-1] > 1 and what == "intervals" else ""
    return (
        f"the {what} hold the truth for at least {level:.4g} of new rows like the {rows:,} validation rows"
        f" (expected: {rank(rows, level) / (rows + 1):.4g}){each}; these rows also chose the trial, so it may be a"
        " little less"
    )
