"""Compare searches that begin from an earlier study with searches that begin with nothing.

For each pair of an earlier and a new study and each seed, the earlier study is run, then the new one with `--from` and
without, one after the other. All three have this seed, their recipe's sampler (TPE) and pruner, and the same epochs.

    python benchmarks/warm.py [--seeds 8] [--trials 32] [--epochs 30] [--json FILE]

    --seeds   the number of searches of each kind
    --trials  the trials of each study; the best values are compared after a quarter, a half and all of them
    --epochs  the epochs of a trial
    --json    write the result to this file

Prints for each pair and number of trials the median of the best validation loss over seeds, without and with `--from`,
in how many seeds each of them is better, and the median number of trials after which the one with `--from` has reached
what the other one reaches with all its trials.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import measure
import numpy as np

from search import Study
from search.record.own import own_trials

PAIRS: Mapping[str, tuple[tuple[str, str, int], tuple[str, str, int]]] = {
    "l2 on digits, to another split of digits": (("l2", "digits", 0), ("l2", "digits", 1)),
    "l2+dropout on digits, to wine": (("l2+dropout", "digits", 0), ("l2+dropout", "wine", 0)),
    "dropout on digits, to breast-cancer": (("dropout", "digits", 0), ("dropout", "breast-cancer", 0)),
}
"""The earlier and the new study of each pair: techniques, data set, seed of the split."""


def run(folder: Path, of: tuple[str, str, int], name: str, seed: int, args: argparse.Namespace, **more: Any) -> Study:
    """Run a study to its budget and return it."""
    recipe, dataset, split = of
    options: dict[str, Any] = {"tracking_uri": None, "device": "cpu", "data": {"dataset": dataset, "seed": split}}
    storage = f"sqlite:///{folder}/warm.db"
    study = Study(recipe, seed=seed, epochs=args.epochs, study_name=name, storage=storage, **options, **more)
    return study.run(args.trials, observers=[])


def bests(study: Study) -> list[float]:
    """Return the best validation loss after 1, 2 ... trials."""
    values = [study.objectives.value(trial) for trial in own_trials(study.optuna_study)]
    finite = [math.inf if value is None else value for value in values]
    return [float(best) for best in np.minimum.accumulate(finite)]


def judged(
    without: Sequence[Sequence[float]], begun: Sequence[Sequence[float]], counts: Sequence[int]
) -> dict[str, Any]:
    """Return the figures of a pair, from the best values of each seed after each trial."""
    after = {}
    for count in counts:
        pairs = [(a[count - 1], b[count - 1]) for a, b in zip(without, begun, strict=True)]
        after[str(count)] = {
            "without": statistics.median(a for a, _ in pairs),
            "with": statistics.median(b for _, b in pairs),
            "with_is_better": sum(b < a for a, b in pairs),
            "without_is_better": sum(a < b for a, b in pairs),
            "each": [list(pair) for pair in pairs],
        }
    reached = [
        next((number for number, value in enumerate(b, 1) if value <= a[-1]), math.inf)
        for a, b in zip(without, begun, strict=True)
    ]
    median = statistics.median(reached)
    return {
        "after": after,
        "trials_to_reach_all_without": [None if math.isinf(one) else one for one in reached],
        "median_trials_to_reach": None if math.isinf(median) else median,
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args(words)
    if args.seeds < 1 or args.trials < 4 or args.epochs < 1:
        parser.error("takes at least one seed, four trials and one epoch")
    counts = [args.trials // 4, args.trials // 2, args.trials]
    results = {}
    for pair, (before, after) in PAIRS.items():
        started = time.perf_counter()
        without, begun = list[list[float]](), list[list[float]]()
        for seed in range(args.seeds):
            with tempfile.TemporaryDirectory() as folder:
                run(Path(folder), before, "earlier", seed, args)
                begun.append(bests(run(Path(folder), after, "with", seed, args, from_studies=["earlier"])))
                without.append(bests(run(Path(folder), after, "without", seed, args)))
        results[pair] = judged(without, begun, counts)
        print(f"{pair}, {args.seeds} seeds ({time.perf_counter() - started:.0f} s)", file=sys.stderr)
        for count, found in results[pair]["after"].items():
            print(
                f"  best of {count:>3}: {found['without']:.5f} without, {found['with']:.5f} with --from;"
                f" better in {found['without_is_better']} and {found['with_is_better']} seeds"
            )
        print(f"  trials to reach the best of {args.trials} without: {results[pair]['median_trials_to_reach']}")
    if args.json is not None:
        settings = {"seeds": args.seeds, "trials": args.trials, "epochs": args.epochs}
        measure.write(args.json, "warm", {"settings": settings, "results": results})


if __name__ == "__main__":
    main()
