"""How much each pruner saves and what it loses, on studies whose every trial was trained to its end.

Random search over the studies below is trained without pruning. Then each pruner judges the recorded curves as it would
have judged the trials: in random orders, in cohorts of 8 and of 16, through `PeerPruner.verdicts`. Reported:

    share    of all epochs that would have been trained
    regret   the best value left over less the best of all, in units of the distance from the best of all to the trial
             at the first quartile: 0 is the same answer, 1 one that a random trial beats in one case of four
    kept     how often the best trial of all is left over

The rungs and the bar of `curve`, which forecasts, were chosen on the tuning studies; the others are held out.

    python benchmarks/pruning.py [--folder DIR] [--studies NAME ...] [--orders 10] [--json FILE]

    --folder   where the studies are kept; one that is there is not trained again (all of them: 20 minutes on two cores)
    --orders   random orders of the trials of each study
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
class Setting:
    """A study whose curves are judged; `lr` where the learning rate is searched too."""

    techniques: str
    dataset: str
    epochs: int = 100
    seed: int = 0
    lr: bool = False
    tuning: bool = True

    def curves(self, storage: str) -> np.ndarray:
        """The objective so far (trials x epochs), trained unless the storage has it; infinite where never finite."""
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
    "l2-digits": Setting("l2", "digits", 200),
    "l2-wine": Setting("l2", "wine"),
    "dropout-digits": Setting("dropout", "digits"),
    "l2dropoutlr-digits": Setting("l2+dropout", "digits", lr=True),
    "max_norm-digits": Setting("max_norm", "digits"),
    "l2-breast": Setting("l2", "breast-cancer"),
    "dropout-breast": Setting("dropout", "breast-cancer"),
    "l2dropoutlr-wine": Setting("l2+dropout", "wine", lr=True),
    "l1-digits": Setting("l1", "digits", seed=1),
    "weight_decaylr-digits": Setting("weight_decay", "digits", seed=1, lr=True),
    "dropoutlr-breast": Setting("dropout", "breast-cancer", seed=1, lr=True),
    "label_smoothing-digits": Setting("label_smoothing", "digits", seed=1),
    "l2-diabetes": Setting("l2", "diabetes", seed=1),
    "elastic_net-digits": Setting("elastic_net", "digits", seed=2),
    "l1-breast": Setting("l1", "breast-cancer", seed=2),
    "lr_schedule-digits": Setting("lr_schedule", "digits", seed=2),
    "weight_decay-wine": Setting("weight_decay", "wine", seed=2),
    "l2lr-diabetes": Setting("l2", "diabetes", seed=2, lr=True),
    "l2-digits-100": Setting("l2", "digits", seed=2),
    "input_dropout-digits": Setting("input_dropout", "digits", seed=2),
    "elastic_net-wine": Setting("elastic_net", "wine", seed=3),
    "max_norm-diabetes": Setting("max_norm", "diabetes", seed=3),
    "l1lr-breast": Setting("l1", "breast-cancer", seed=3, lr=True),
    "dropoutlr-digits": Setting("dropout", "digits", seed=3, lr=True),
    "weight_decay-diabetes": Setting("weight_decay", "diabetes", 150, seed=3),
    "label_smoothinglr-wine": Setting("label_smoothing", "wine", seed=3, lr=True),
    "momentum-digits": Setting("momentum", "digits", seed=3),
    "l2-digits-150": Setting("l2", "digits", 150, seed=3),
    "input_dropout-breast": Setting("input_dropout", "breast-cancer", seed=3),
    "l1-diabetes": Setting("l1", "diabetes", seed=4, tuning=False),
    "l2-breast-4": Setting("l2", "breast-cancer", 150, seed=4, tuning=False),
    "l1lr-wine": Setting("l1", "wine", seed=4, lr=True, tuning=False),
    "dropout-diabetes": Setting("dropout", "diabetes", seed=4, tuning=False),
    "max_norm-wine": Setting("max_norm", "wine", seed=4, tuning=False),
    "elastic_netlr-diabetes": Setting("elastic_net", "diabetes", seed=4, lr=True, tuning=False),
    "weight_decay-breast": Setting("weight_decay", "breast-cancer", seed=4, tuning=False),
    "momentum-breast": Setting("momentum", "breast-cancer", seed=4, tuning=False),
    "l2dropoutlr-digits-4": Setting("l2+dropout", "digits", seed=4, lr=True, tuning=False),
}


def rules(epochs: int) -> dict[str, PeerPruner]:
    """The pruners by the name that the tables give them."""
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
    """How many epochs each trial would have trained (trials,), asked in that order in cohorts of that size."""
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
    """Share, regret and kept; see above."""
    final, best = curves[:, -1], curves[:, -1].min()
    left = np.where(trained == curves.shape[1], final, np.inf).min()
    return float(trained.mean() / curves.shape[1]), (left - best) / (np.quantile(final, 0.25) - best), left == best


def measure_all(names: Sequence[str], folder: Path, orders: int) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    """Of each study, each rule's mean outcome over orders and sizes of cohort."""
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
    """Each rule's mean over studies."""
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
