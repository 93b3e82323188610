"""Measure what each pruner saves and loses, on studies whose every trial was trained to its end.

The studies of `pruning_studies.py` are trained without pruning. Then each pruner judges the recorded curves as it would
have judged the trials, through `PeerPruner.verdicts`. Random search is judged in random orders and in cohorts of 8, 16
and 32, TPE as it was asked, in cohorts of 8. So one thing is left out: TPE would have asked for other trials after it
had seen pruned ones.

    python benchmarks/pruning.py [--folder DIR] [--tables DIR] [--studies NAME ...] [--orders 4] [--json FILE]

    --folder   the folder of the studies; a study that is there is not trained again (all take 25 minutes on one core)
    --tables   the folder of the CSV files, which are the classic tables that `pruning_studies.py` names
    --studies  the studies to judge; by default all
    --orders   the number of random orders of the trials of a random search

Prints for each study and pruner, and as means over each part of the studies:

    share    the share of all epochs that would have been trained
    regret   the best value left less the best of all, in units of the distance from the best of all to the trial at
             the first quartile: 0 is the same answer, 1 is one that a random trial beats in one case of four
    kept     the share of cases in which the best trial of all is left
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import get_args

import measure
import numpy as np
from optuna.trial import FrozenTrial, TrialState
from pruning_rules import AmongAllPruner, DominatedPruner, HalfTimePruner, RemainingPruner, SchedulePruner
from pruning_studies import STUDIES, TPE_COHORT, TRIALS, JudgedStudy, Portion

from search.choose.peers import PeerPruner
from search.choose.pruners import build
from search.recipe.schema import Pruner
from search.record.own import COHORT, TICKET

COHORTS = (8, 16, 32)


def rules(epochs: int) -> dict[str, PeerPruner]:
    """Return the pruners by their names in the tables."""
    early, earlier = max(1, epochs // 16), max(1, round(epochs / 2**4.5))
    return {
        "halving": build(Pruner(name="halving"), epochs),
        "median": build(Pruner(name="median"), epochs),
        "hyperband": build(Pruner(name="hyperband"), epochs),
        "halving from 1/16": build(Pruner(name="halving", min_epochs=early), epochs),
        "median from 1/16": build(Pruner(name="median", min_epochs=early), epochs),
        "curve": build(Pruner(name="curve"), epochs),
        "forecast": build(Pruner(name="forecast"), epochs),
        "remaining improvement": RemainingPruner(epochs, min_epochs=None),
        "dominated": DominatedPruner(epochs, min_epochs=None),
        "curve among all": AmongAllPruner(epochs, min_epochs=None),
        "and a schedule": SchedulePruner(epochs, min_epochs=earlier),
        "and half time": HalfTimePruner(epochs, min_epochs=earlier),
    }


def judge(curves: np.ndarray, order: Sequence[int], size: int, pruner: PeerPruner) -> np.ndarray:
    """Return the epochs that each trial would have trained, ``(trials,)``, in this order and size of cohort."""
    count, epochs = curves.shape
    trained = np.full(count, epochs)
    trials = [_running(ticket, ticket // size) for ticket in range(count)]
    for cohort in range(-(-count // size)):
        tickets = range(cohort * size, min(count, (cohort + 1) * size))
        alive = list(tickets)
        for rung in pruner.rungs():
            for ticket in alive:
                trials[ticket].intermediate_values[rung] = float(curves[order[ticket], rung - 1])
            verdicts = pruner.verdicts(trials[: tickets.stop], cohort, rung)
            for ticket in alive:
                if not verdicts.get(ticket, True):
                    trained[order[ticket]] = rung
                    _tell(trials[ticket], TrialState.PRUNED, trials[ticket].intermediate_values[rung])
            alive = [ticket for ticket in alive if verdicts.get(ticket, True)]
        for ticket in alive:
            _tell(trials[ticket], TrialState.COMPLETE, float(curves[order[ticket], -1]))
    return trained


def outcome(curves: np.ndarray, trained: np.ndarray) -> tuple[float, float, float]:
    """Return share, regret and kept; the module's docstring defines them."""
    final, best = curves[:, -1], curves[:, -1].min()
    left = np.where(trained == curves.shape[1], final, np.inf).min()
    return float(trained.mean() / curves.shape[1]), (left - best) / (np.quantile(final, 0.25) - best), left == best


def cases(study: JudgedStudy, orders: int) -> list[tuple[Sequence[int], int]]:
    """Return the orders in which a study's trials are judged, each with a size of cohort."""
    if study.sampler == "tpe":
        return [(range(TRIALS), TPE_COHORT)]
    generator = np.random.default_rng(0)
    shuffled = [generator.permutation(TRIALS).tolist() for _ in range(orders)]
    return [(order, size) for order in shuffled for size in COHORTS]


def measure_all(
    names: Sequence[str], folder: Path, tables: Path, orders: int
) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Yield for each study the mean outcome of each pruner over orders and sizes of cohort."""
    for name in names:
        study = STUDIES[name]
        curves = study.curves(f"sqlite:///{folder / name}.db", tables)
        found = {}
        for rule, pruner in rules(study.epochs).items():
            outcomes = [outcome(curves, judge(curves, *case, pruner)) for case in cases(study, orders)]
            share, regret, kept = np.mean(outcomes, axis=0).tolist()
            found[rule] = {"share": share, "regret": regret, "kept": kept}
        yield name, found


def mean(found: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return each pruner's mean over studies."""
    keys = ("share", "regret", "kept")
    return {rule: {key: float(np.mean([one[rule][key] for one in found])) for key in keys} for rule in found[0]}


def show(title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    print(f"{title:24}{'share':>8}{'regret':>8}{'kept':>8}")
    for rule, outcome in found.items():
        print(f"{rule:24}{outcome['share']:8.1%}{outcome['regret']:8.3f}{outcome['kept']:8.0%}")


def _running(ticket: int, cohort: int) -> FrozenTrial:
    attributes = {COHORT: cohort, TICKET: ticket}
    return FrozenTrial(
        ticket, TrialState.RUNNING, None, datetime(2026, 1, 1), None, {}, {}, attributes, {}, {}, trial_id=ticket
    )


def _tell(trial: FrozenTrial, state: TrialState, value: float) -> None:
    trial.state, trial.value = state, value if math.isfinite(value) else None


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--tables", type=Path, default=Path("../shared/data/tabular"))
    parser.add_argument("--studies", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--orders", type=int, default=4)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        by_study = {}
        for name, found in measure_all(args.studies, folder.absolute(), args.tables.absolute(), args.orders):
            by_study[name] = found
            show(name, found)
    means = {}
    for title in get_args(Portion):
        if of_these := [found for name, found in by_study.items() if STUDIES[name].portion == title]:
            means[title] = mean(of_these)
            show(f"mean, {title}", means[title])
    if args.json is not None:
        given = {"trials": TRIALS, "cohorts": COHORTS, "orders": args.orders}
        studies = {name: STUDIES[name].described() | {"rules": found} for name, found in by_study.items()}
        measure.write(args.json, "pruning", given | {"mean": means, "studies": studies})


if __name__ == "__main__":
    main()
