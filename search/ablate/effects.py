"""The effect of each technique, and the interactions of the strongest ones, from the measures of a trial's variants.

Let ``y(S)`` be the objective where the techniques in S are switched. The effect of switching a is ``y({a}) - y({})``.
The k strongest techniques are switched in all 2^k combinations, a full factorial design. The interaction of a and b is

``I = y(neither is on) - y(only a is on) - y(only b is on) + y(both are on)``,

a mean over the 2^(k-2) combinations of the others. Each is a contrast: a weighted sum of the variants' values, taken
within each replicate and row, so that it stays paired.

A verdict is by the p value that is adjusted for all techniques, or for all pairs (Holm), so that in at most 5% of
ablations where nothing differs one technique or more is said to matter. The intervals are those of each one alone.

Sources: Box, Hunter and Hunter, "Statistics for experimenters" (2005), ch. 5, for the design; Holm, "A simple
sequentially rejective multiple test procedure" (Scandinavian Journal of Statistics 6, 1979).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeVar

from search.ablate.measure import Trained, Variant
from search.compare.pairs import Arm, Difference
from search.compare.scoring import Scoring
from search.record.ablation import Measured

Key = TypeVar("Key")

SELF: Variant = frozenset()
"""The trial as it is."""


def holm(p: Sequence[float]) -> list[float]:
    """Return p values adjusted for their number m by Holm's step-down rule.

    The i-th smallest, from 1, becomes ``min(1, max over j <= i of (m - j + 1) p_(j))``.
    """
    order = sorted(range(len(p)), key=p.__getitem__)
    adjusted = [0.0] * len(p)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = highest
    return adjusted


def effects(scoring: Scoring, trained: Trained, variants: Mapping[Key, Variant]) -> dict[Key, Measured]:
    """Return the objective of variants minus that of the trial.

    A variant is left out if a network of it never had a finite loss.
    """
    own = trained[SELF]
    assert isinstance(own, Arm)
    found = {}
    for name, variant in variants.items():
        if isinstance(arm := trained[variant], Arm):
            found[name] = scoring.difference(arm, own)
    return _adjusted(found)


def strongest(found: Mapping[str, Measured], count: int) -> list[str]:
    """Return the techniques with the largest effects, in either direction, in the order of `found`."""
    ranked = sorted(found, key=lambda name: -abs(found[name].value))[:count]
    return [name for name in found if name in ranked]


def factorial(names: Sequence[str]) -> Iterator[Variant]:
    """Yield all combinations of techniques, each switched or not."""
    for size in range(len(names) + 1):
        yield from map(frozenset, combinations(names, size))


def interactions(
    scoring: Scoring, trained: Trained, names: Sequence[str], used: Mapping[str, bool]
) -> dict[tuple[str, str], Measured | None]:
    """Return the interaction of every two techniques; None for all if a network never had a finite loss.

    Args:
        scoring: what differences are of.
        trained: the measures of all combinations of the techniques.
        names: the techniques.
        used: whether the trial uses a technique, by its name, so that switching it means without it.
    """
    pairs = list(combinations(names, 2))
    cells = {variant: trained[variant] for variant in factorial(names)}
    arms = [arm for arm in cells.values() if isinstance(arm, Arm)]
    if len(arms) < len(cells):
        return dict.fromkeys(pairs)
    found = {}
    for pair in pairs:
        # Of each technique 1 where it is off and -1 where it is on; their product is the sign of a cell.
        signs = [
            (1 if (pair[0] in variant) == used[pair[0]] else -1) * (1 if (pair[1] in variant) == used[pair[1]] else -1)
            for variant in cells
        ]
        found[pair] = scoring.contrast(arms, [sign / (len(cells) / 4) for sign in signs])
    return dict(_adjusted(found))


def _adjusted(found: Mapping[Key, Difference]) -> dict[Key, Measured]:
    """Return differences with the p values adjusted for their number."""
    p = holm([one.p for one in found.values()])
    return {
        name: Measured(one.interval.value, one.interval.low, one.interval.high, one.p, adjusted, one.example_share)
        for (name, one), adjusted in zip(found.items(), p, strict=True)
    }
