"""A race: more replicates for those trials only that can't be told from the best one.

    candidates, two replicates each --> tests of their differences --> more replicates where they decide something

`search.decide.comparisons` has the tests. The race ends

- when every other trial is told to be worse: the winner is known;
- when no trial that is left can be better than the best one by more than the tolerance;
- when what is not known is due to the validation rows, of which more replicates bring no more;
- or at the most replicates, or at the budget of epochs: as many as the search has trained.

Everything is counted in trials, replicates and epochs, so the race is the same on any machine (contract C3).

Sources: Maron and Moore, "Hoeffding races" (NIPS 1993); Birattari, Stuetzle, Paquete and Varrentrapp, "A racing
algorithm for configuring metaheuristics" (GECCO 2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search.decide.candidates import FEWEST, MOST, Candidates
from search.decide.comparisons import Comparisons
from search.decide.evidence import Evidence
from search.decide.gather import Gathering

LEVELS = (2, 3, 5)
"""The numbers of replicates at which the trials are tested."""
_FIRST = 0.5  # the first round trains at most so many epochs, as a share of those of the search; all rounds at most 1
_WIDENINGS = 4  # rounds that look for strengths that are told to be worse

KNOWN, TOLERATED, ROWS, MOST_REPLICATES, BUDGET, FIXED = (
    "the winner is known",
    "the remaining differences are within the tolerance",
    "more replicates would not tell: what is not known is due to the validation rows",
    f"each trial that is left has {LEVELS[-1]} replicates",
    "the race has trained as many epochs as the search",
    "the recipe gives the number of replicates",
)


@dataclass(frozen=True, eq=False)
class Finish:
    """The end of a race.

    Attributes:
        evidence: what is known of the trials that were compared.
        tied: the trials that are not told to be worse than the best one, the best ones first; it is among them.
        reason: why the race has ended, one of the reasons above.
    """

    evidence: Evidence
    tied: Sequence[int]
    reason: str


def race(
    candidates: Candidates, gathering: Gathering, *, replicates: int | None, tolerance: float, budget: int
) -> Finish | None:
    """Train replicates of the candidates until the race ends; return None if all of them diverge.

    Args:
        candidates: the trials of the study.
        gathering: what trains and keeps their replicates.
        replicates: the number of replicates that the recipe gives each trial; None to race.
        tolerance: the difference that does not matter, as a share of the objective.
        budget: the number of epochs that the search has trained.
    """
    first = max(LEVELS[0], replicates or 0)
    gathering.add(_starters(candidates, gathering, first, budget), first)
    if not gathering.evidence().complete:
        return None
    compared = _widened(candidates, gathering, first, budget)
    if replicates is not None or compared.evidence.overlap is not None:
        return _finish(compared, FIXED)
    for level in LEVELS[1:]:
        matters = tolerance * abs(compared.evidence.mean(compared.best))
        open_ = [trial for trial in compared.tied if trial == compared.best or compared.most_to_gain(trial) > matters]
        if len(open_) == 1:
            return _finish(compared, TOLERATED)
        decisive = [trial for trial in open_ if trial == compared.best or compared.may_be_told(trial)]
        if len(decisive) == 1:
            return _finish(compared, ROWS)
        if gathering.epochs + gathering.cost(decisive, level) > budget:
            return _finish(compared, BUDGET)
        gathering.add(decisive, level)
        compared = Comparisons(gathering.evidence())
    return _finish(compared, MOST_REPLICATES)


def _finish(compared: Comparisons, reason: str) -> Finish:
    return Finish(compared.evidence, compared.tied, KNOWN if len(compared.tied) == 1 else reason)


def _starters(candidates: Candidates, gathering: Gathering, replicates: int, budget: int) -> list[int]:
    """Return the best trials, as many as half of the search's epochs allow, and those beside them."""
    best = candidates.best(MOST)
    while len(best) > FEWEST and gathering.cost(best, replicates) > _FIRST * budget:
        best.pop()
    beside = candidates.beside(best, best)
    while beside and gathering.cost([*best, *beside], replicates) > budget:
        beside.pop()
    return [*best, *beside]


def _widened(candidates: Candidates, gathering: Gathering, replicates: int, budget: int) -> Comparisons:
    """Compare trials of weaker and of stronger regularisation, until both are told to be worse."""
    compared = Comparisons(gathering.evidence())
    for _ in range(_WIDENINGS if candidates.names else 0):
        beside = candidates.beside(compared.tied, compared.evidence.cells)
        while beside and gathering.epochs + gathering.cost(beside, replicates) > budget:
            beside.pop()
        if not beside:
            break
        gathering.add(beside, replicates)
        compared = Comparisons(gathering.evidence())
    return compared
