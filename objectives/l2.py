"""L2 penalty on all weights.

``objective_s = loss_s + l2_s * sum_i w_si^2``, over every trainable parameter of slot s, biases too. The penalty is a
term of the loss, outside the optimiser: it equals weight decay 2 * l2 where that is coupled (added to the gradient, as
in SGD and Adam), not where it is decoupled (AdamW), because Adam divides the penalty's gradient by the same running
moments as the loss's.

Source: Hoerl and Kennard, "Ridge regression" (Technometrics 1970); for Adam, Loshchilov and Hutter, "Decoupled weight
decay regularization" (ICLR 2019).
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values


def penalty(weights: Tensor, values: Values) -> Tensor:
    """``l2 * sum of squares``: weights ``slots x parameters`` to ``(slots,)``."""
    return values["l2"] * weights.square().sum(1)


technique = Technique(
    name="l2",
    hyperparameters={"l2": Numeric(low=1e-6, high=1e-1, log=True, minimum=0.0, neutral=0.0, stronger="up")},
    penalty=penalty,
)
