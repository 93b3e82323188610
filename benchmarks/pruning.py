"""Measure what each pruner saves and loses, on studies whose every trial was trained to its end.

Random search over the studies below is trained without pruning. Then each pruner judges the recorded curves as it would
have judged the trials: in random orders, in cohorts of 8 and of 16, through `PeerPruner.verdicts`. The rungs and the
threshold of `curve`, which forecasts, were chosen on the tuning studies; the other studies are held out.

    python benchmarks/pruning.py [--folder DIR] [--studies NAME ...] [--orders 10] [--json FILE]

    --folder   the folder of the studies; a study that is there is not trained again (all take 20 minutes on two cores)
    --studies  the studies to judge; by default all
    --orders   the number of random orders of each study's trials

Prints for each study and pruner, and as means over tuning and held-out studies:

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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import measure
import numpy as np
from optuna.trial import FrozenTrial, TrialState

from search import Study
from search.choose.peers import COHORT, TICKET, PeerPruner
from search.choose.pruners import build
from search.recipe.schema import Pruner
from search.record.curves import CURVES, Curves

TRIALS = 64
COHORTS = (8, 16)


@dataclass(frozen=True)
class JudgedStudy:
    """A study whose curves are judged; `lr` says whether the learning rate is searched too."""

    techniques: str
    dataset: str
    epochs: int = 100
    seed: int = 0
    lr: bool = False
    tuning: bool = True

    def curves(self, storage: str) -> np.ndarray:
        """Return the objective so far, ``trials x epochs``, infinite where never finite; train what is not stored."""
        study = Study(
            self.techniques,
            dataset=self.dataset,
            storage=storage,
            tracking_uri=None,
            trials=TRIALS,
            seed=self.seed,
            sampler="random",
            ask_batch=32,
            pruner={"name": "none"},
            set={"epochs": self.epochs},
            space={"lr": {"low": 1e-4, "high": 1e-1, "log": True}} if self.lr else {},
        ).run()
        found = np.full((TRIALS, self.epochs), np.inf)
        for row, trial in zip(found, study.optuna_study.get_trials(deepcopy=False), strict=True):
            loss = Curves.decode(trial.user_attrs[CURVES]).of("val_loss")
            loss = np.minimum.accumulate(np.where(np.isfinite(loss), loss, np.inf), axis=1).mean(axis=0)
            row[: len(loss)] = loss
            row[len(loss) :] = loss[-1]
        return found


STUDIES = {
    "l2-digits": JudgedStudy("l2", "digits", 200),
    "l2-wine": JudgedStudy("l2", "wine"),
    "dropout-digits": JudgedStudy("dropout", "digits"),
    "l2dropoutlr-digits": JudgedStudy("l2+dropout", "digits", lr=True),
    "max_norm-digits": JudgedStudy("max_norm", "digits"),
    "l2-breast": JudgedStudy("l2", "breast-cancer"),
    "dropout-breast": JudgedStudy("dropout", "breast-cancer"),
    "l2dropoutlr-wine": JudgedStudy("l2+dropout", "wine", lr=True),
    "l1-digits": JudgedStudy("l1", "digits", seed=1),
    "weight_decaylr-digits": JudgedStudy("weight_decay", "digits", seed=1, lr=True),
    "dropoutlr-breast": JudgedStudy("dropout", "breast-cancer", seed=1, lr=True),
    "label_smoothing-digits": JudgedStudy("label_smoothing", "digits", seed=1),
    "l2-diabetes": JudgedStudy("l2", "diabetes", seed=1),
    "elastic_net-digits": JudgedStudy("elastic_net", "digits", seed=2),
    "l1-breast": JudgedStudy("l1", "breast-cancer", seed=2),
    "lr_schedule-digits": JudgedStudy("lr_schedule", "digits", seed=2),
    "weight_decay-wine": JudgedStudy("weight_decay", "wine", seed=2),
    "l2lr-diabetes": JudgedStudy("l2", "diabetes", seed=2, lr=True),
    "l2-digits-100": JudgedStudy("l2", "digits", seed=2),
    "input_dropout-digits": JudgedStudy("input_dropout", "digits", seed=2),
    "elastic_net-wine": JudgedStudy("elastic_net", "wine", seed=3),
    "max_norm-diabetes": JudgedStudy("max_norm", "diabetes", seed=3),
    "l1lr-breast": JudgedStudy("l1", "breast-cancer", seed=3, lr=True),
    "dropoutlr-digits": JudgedStudy("dropout", "digits", seed=3, lr=True),
    "weight_decay-diabetes": JudgedStudy("weight_decay", "diabetes", 150, seed=3),
    "label_smoothinglr-wine": JudgedStudy("label_smoothing", "wine", seed=3, lr=True),
    "momentum-digits": JudgedStudy("momentum", "digits", seed=3),
    "l2-digits-150": JudgedStudy("l2", "digits", 150, seed=3),
    "input_dropout-breast": JudgedStudy("input_dropout", "breast-cancer", seed=3),
    "l1-diabetes": JudgedStudy("l1", "diabetes", seed=4, tuning=False),
    "l2-breast-4": JudgedStudy("l2", "breast-cancer", 150, seed=4, tuning=False),
    "l1lr-wine": JudgedStudy("l1", "wine", seed=4, lr=True, tuning=False),
    "dropout-diabetes": JudgedStudy("dropout", "diabetes", seed=4, tuning=False),
    "max_norm-wine": JudgedStudy("max_norm", "wine", seed=4, tuning=False),
    "elastic_netlr-diabetes": JudgedStudy("elastic_net", "diabetes", seed=4, lr=True, tuning=False),
    "weight_decay-breast": JudgedStudy("weight_decay", "breast-cancer", seed=4, tuning=False),
    "momentum-breast": JudgedStudy("momentum", "breast-cancer", seed=4, tuning=False),
    "l2dropoutlr-digits-4": JudgedStudy("l2+dropout", "digits", seed=4, lr=True, tuning=False),
}


def rules(epochs: int) -> dict[str, PeerPruner]:
    """Return the pruners by their names in the tables."""
    early = max(1, epochs // 16)
    return {
        "halving": build(Pruner(name="halving"), epochs),
        "median": build(Pruner(name="median"), epochs),
        "hyperband": build(Pruner(name="hyperband"), epochs),
        "halving from 1/16": build(Pruner(name="halving", min_epochs=early), epochs),
        "median from 1/16": build(Pruner(name="median", min_epochs=early), epochs),
        "curve": build(Pruner(name="curve"), epochs),
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


def measure_all(names: Sequence[str], folder: Path, orders: int) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Yield for each study the mean outcome of each pruner over orders and sizes of cohort."""
    for name in names:
        curves = STUDIES[name].curves(f"sqlite:///{folder / name}.db")
        generator = np.random.default_rng(0)
        shuffled = [generator.permutation(TRIALS).tolist() for _ in range(orders)]
        found = {}
        for rule, pruner in rules(STUDIES[name].epochs).items():
            outcomes = [outcome(curves, judge(curves, one, size, pruner)) for one in shuffled for size in COHORTS]
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
    parser.add_argument("--studies", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--orders", type=int, default=10)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        by_study = {}
        for name, found in measure_all(args.studies, folder.absolute(), args.orders):
            by_study[name] = found
            show(name, found)
    means = {}
    for title, tuning in (("tuning", True), ("held out", False)):
        if of_these := [found for name, found in by_study.items() if STUDIES[name].tuning == tuning]:
            means[title] = mean(of_these)
            show(f"mean, {title}", means[title])
    if args.json is not None:
        given = {"trials": TRIALS, "cohorts": COHORTS, "orders": args.orders}
        studies = {name: vars(STUDIES[name]) | {"rules": found} for name, found in by_study.items()}
        measure.write(args.json, "pruning", given | {"mean": means, "studies": studies})


if __name__ == "__main__":
    main()
