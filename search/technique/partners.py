"""The partner of each example, for techniques that mix the examples of a minibatch."""

from __future__ import annotations

from torch import Tensor

from search.technique.values import Values


def of_partners(rows: Tensor, values: Values) -> Tensor:
    """Return the rows ``groups or slots x batch x ...`` of each example's partner, ``slots x batch x ...``.

    The partners are a random permutation of the minibatch, the same for inputs and targets of a step, and for all slots
    of a replicate. It is drawn under the name "partners".
    """
    order = values.draws("partners", rows.shape[1]).argsort(dim=-1, stable=True)
    if len(rows) != len(order):
        order = order[values.group_of]
    return values.per_slot(rows.gather(1, order[..., None].expand_as(rows)))
