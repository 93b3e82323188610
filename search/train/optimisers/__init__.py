"""Optimisers for a whole pack: every slot has its own learning rate, moments and step count.

Each optimiser consists of `init` and `update` over explicit state, as in optax, and agrees with its namesake in
`torch.optim`. The state holds a step count for each slot, so that a slot that joins a pack later gets the bias
correction of its own first step.

Updates are in place, because on the CPU a temporary of ``slots x size`` costs more than the arithmetic. They use only
element-wise operations that round the same in their vectorised and scalar paths, because a slot's bits must not depend
on its place.
"""

from __future__ import annotations

from collections.abc import Mapping

from search.train.optimisers.adagrad import Adagrad
from search.train.optimisers.adam import Adam, AdamW
from search.train.optimisers.contract import Optimiser, State
from search.train.optimisers.rmsprop import RMSprop
from search.train.optimisers.sgd import SGD

__all__ = ["OPTIMISERS", "Optimiser", "State"]

OPTIMISERS: Mapping[str, type[Optimiser]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "adagrad": Adagrad,
    "rmsprop": RMSprop,
}
