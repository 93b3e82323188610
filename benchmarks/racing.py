"""Measure what a race between trials saves, and how often it is wrong.

Real studies: the trials of a random search of 32 trials are trained with five replicates each, and the winner is chosen
among all of them by the rule of `search.decide.evidence`. A second study of the same trials trains one replicate of
each and races (`--replicates auto`). Compared are the chosen settings, the mean objective over the five replicates that
they have in the first study, and the epochs that were trained. Nothing is pruned.

Simulated studies: the losses of eight trials have planted means, and effects of rows, of replicates, and of both; trial
0 is the best. The race is wrong if it says that the winner is known and this is another trial.

    python benchmarks/racing.py [--studies 20] [--simulated 200] [--tables FOLDER] [--json FILE]

Prints how often the chosen settings are the same, or differ by less than the tolerance; the epochs as a share; and the
share of simulated races that are won, undecided and wrong.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import measure
import numpy as np
from optuna.distributions import IntDistribution

from search import Study
from search.decide.candidates import MOST, Candidates
from search.decide.evidence import Evidence
from search.decide.gather import Gathering
from search.decide.race import Finish, race
from search.report import record
from search.report.record import Record
from search.statistics.crossed import Floats
from search.train.crew import one_thread

TRIALS, REPLICATES, EPOCHS, TOLERANCE = 32, 5, 40, 0.01
STUDIES = (
    ("l2", "digits", None),
    ("dropout", "digits", None),
    ("l2", "wine", None),
    ("l2+dropout", "wine", None),
    ("l2", "breast-cancer", None),
    ("l2+dropout", "breast-cancer", None),
    ("l2", "diabetes", None),
    ("l2", "credit-g.csv", "class"),
    ("dropout", "car.csv", "class"),
    ("l2", "segment.csv", "class"),
)


def compared(recipe: str, dataset: str, target: str | None, folder: Path, seed: int, tables: Path) -> dict[str, Any]:
    """Choose among trials with five replicates each, and by a race."""
    path = str(tables / dataset) if dataset.endswith(".csv") else dataset
    options: dict[str, Any] = {"dataset": path, "target": target, "trials": TRIALS, "sampler": "random", "seed": seed}
    options |= {"pruner": {"name": "none"}, "set": {"epochs": EPOCHS}, "tracking_uri": None}

    def study(name: str, **changes: Any) -> Study:
        return Study(recipe, storage=f"sqlite:///{folder}/{name}.db", **options, **changes)

    every = study("every", replicates=REPLICATES)
    every.run(observers=[], decide=False)
    read = record.read(every)
    gathering = Gathering(every, read, Candidates.of(read).places, log=lambda _: None)
    gathering.add([entry.number for entry in read.complete], REPLICATES)
    evidence = gathering.evidence()
    best, by_every = evidence.mean(evidence.best()), evidence.choice()
    raced = study("raced")
    raced.run(observers=[])
    decision = raced.decide()
    assert decision is not None
    worse = (evidence.mean(decision.chosen) - evidence.mean(by_every)) / abs(best)
    return {
        "recipe": recipe,
        "dataset": dataset,
        "seed": seed,
        "same": decision.chosen == by_every,
        "worse": worse,
        "single": (evidence.mean(decision.best) - evidence.mean(by_every)) / abs(best),
        "share": (raced.epochs_trained + decision.epochs) / every.epochs_trained,
        "tied": len(decision.tied),
        "reason": decision.reason,
    }


class Dealt(Gathering):
    """A gathering that deals planted losses, ``trials x replicates x rows``."""

    def __init__(self, losses: Floats) -> None:
        self._losses, self._dealt, self.epochs = losses, dict[int, Floats](), 0

    def evidence(self) -> Evidence:
        return Evidence(dict(self._dealt), tolerance=TOLERANCE)

    def cost(self, trials: Iterable[int], replicates: int) -> int:
        return sum(replicates - len(self._dealt.get(trial, ())) for trial in trials)

    def add(self, trials: Sequence[int], replicates: int) -> None:
        self.epochs += self.cost(trials, replicates)
        self._dealt |= {trial: self._losses[trial, :replicates] for trial in trials}


def simulated(rng: np.random.Generator, gap: float, of_replicates: float) -> str:
    """Race eight trials, the other seven of which are worse by the gap, or a little more; return how it went."""
    rows, trials = 300, MOST
    means = np.array([1.0, *(1 + gap + 0.002 * np.arange(trials - 1))])
    common = rng.lognormal(0, 1, rows)
    own = rng.normal(0, 0.15, (trials, 1, rows)) + rng.normal(0, of_replicates, (trials, REPLICATES, 1))
    losses = means[:, None, None] * common + own + rng.normal(0, 0.1, (trials, REPLICATES, rows))
    values = losses[:, 0].mean(1).tolist()
    entries = [record.Entry(number, "complete", values[number], {"x": number}) for number in range(trials)]
    candidates = Candidates(Record("simulated", entries, {"x": IntDistribution(0, trials)}, {}), (), {})
    finish = race(candidates, Dealt(losses), replicates=None, tolerance=TOLERANCE, budget=10**6)
    assert isinstance(finish, Finish)
    if len(finish.tied) > 1:
        return "undecided"
    return "won" if finish.tied[0] == 0 else "wrong"


def simulations(count: int) -> list[Mapping[str, Any]]:
    """Return how often races of several designs are won, undecided and wrong."""
    rng, found = np.random.default_rng(0), list[Mapping[str, Any]]()
    for gap in (0.0, 0.01, 0.05):
        for of_replicates in (0.0, 0.02, 0.05):
            ends = [simulated(rng, gap, of_replicates) for _ in range(count)]
            shares = {end: ends.count(end) / count for end in ("won", "undecided", "wrong")}
            found.append({"gap": gap, "of_replicates": of_replicates, "races": count, **shares})
    return found


@one_thread()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--simulated", type=int, default=200)
    parser.add_argument("--tables", type=Path, default=Path("tabular"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    if options.simulated:
        result["simulated"] = simulations(options.simulated)
        print(*result["simulated"], sep="\n", flush=True)
    studies = []
    for number in range(options.studies):
        with tempfile.TemporaryDirectory() as name:
            seed = number // len(STUDIES)
            recipe, dataset, target = STUDIES[number % len(STUDIES)]
            studies.append(compared(recipe, dataset, target, Path(name), seed, options.tables))
        print(studies[-1], flush=True)
    if studies:
        result["real"] = {
            "same": float(np.mean([one["same"] for one in studies])),
            "within the tolerance": float(np.mean([one["worse"] <= TOLERANCE for one in studies])),
            "share of epochs": measure.summary([one["share"] for one in studies]),
            "worse": measure.summary([one["worse"] for one in studies]),
            "worse without a race": measure.summary([one["single"] for one in studies]),
            "each": studies,
        }
        print({name: value for name, value in result["real"].items() if name != "each"})
    if options.json:
        measure.write(options.json, "racing", result)


if __name__ == "__main__":
    main()
