"""Remarks below a comparison: what training had in common, what the figures mean, and where they need care."""

from __future__ import annotations

from collections.abc import Sequence

from search.compare.pairs import Arm, Pair
from search.compare.scoring import Scoring
from search.show.text import enumerated

_MOST_OF_VARIANCE = 0.5  # the share of the variance from which a remark is made


def general(scoring: Scoring, arms: Sequence[Arm], pairs: Sequence[Pair]) -> list[str]:
    """Return the remarks that follow from the results, a line each."""
    lines = _shared(pairs)
    if scoring.reads_test:
        lines.append(
            "the intervals treat both replicates and test examples as samples; the effect size is the difference "
            "divided by the SD of the paired differences over replicates"
        )
    if len(pairs) > 1:
        lines.append(
            f"intervals and p values are adjusted for {len(pairs)} pairs (Bonferroni), for each metric separately"
        )
    return [*lines, *scoring.remarks(arms, pairs), *_dominated(pairs)]


def readings(arms: Sequence[Arm]) -> list[str]:
    """Return how often each study's test split has been read, a line each."""
    counts = {arm.study: "once" if arm.readings == 1 else f"{arm.readings} times" for arm in arms}
    return [f"the test split of {study} has now been read {times}" for study, times in counts.items()]


def _shared(pairs: Sequence[Pair]) -> list[str]:
    """Say what paired replicates have in common, in one line for all pairs that have the same in common."""
    groups: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        key = enumerated(pair.shared.parts), pair.shared.unshared
        groups.setdefault(key, []).append(pair.names)
    lines = []
    for (parts, unshared), names in groups.items():
        whose = "" if len(groups) == 1 else f" of {', and of '.join(names)}" + ("," if len(names) > 1 else "")
        but = f", but not {unshared}" if unshared else ""
        lines.append(f"paired replicates{whose} share {parts or 'nothing'}{but}")
    return lines


def _dominated(pairs: Sequence[Pair]) -> list[str]:
    """Say where more replicates would hardly help."""
    shares = [
        f"{pair.score.example_share:.0%}" + (f" ({pair.names})" if len(pairs) > 1 else "")
        for pair in pairs
        if pair.score.example_share > _MOST_OF_VARIANCE
    ]
    if not shares:
        return []
    return [
        f"{enumerated(shares)} of the variance of the difference comes from the choice of test rows: more test rows "
        "would narrow the interval, more replicates would hardly do so"
    ]
