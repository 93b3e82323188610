"""Measure what pruning saves in Pareto studies of validation loss and sparsity, and how much of the front it keeps.

Studies are searched without pruning, at random and by TPE. Then the pruner judges the recorded curves as it would have
judged the trials: in the order they were asked, in cohorts of 8. TPE's proposals stay as they were, made with knowledge
of every trial's end.

    python benchmarks/pareto.py [--folder DIR] [--peers 1 2 3 5 8] [--live] [--json FILE]

    --folder   the folder of the studies; a study that is there is not trained again
    --peers    the numbers of peers that must dominate a trial before it is stopped
    --live     also search the studies again with the pruner, so that the sampler sees what the pruner leaves

Prints for each study and number of peers:

    share   the share of all epochs that would have been trained
    kept    the hypervolume of the front that is left over that of all trials; the reference point is the constant
            predictor at no sparsity
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import measure
import numpy as np
from optuna.trial import FrozenTrial, TrialState

from search import Study
from search.choose.pareto import ParetoPruner
from search.record.curves import CURVES, Curves
from search.record.objectives import hypervolume
from search.record.own import COHORT
from search.train.constant import constant_loss

TRIALS, EPOCHS, COHORT_SIZE = 48, 60, 8
TECHNIQUES = ("l1_prox", "l1_prox+l2", "l1_prox+dropout")
DATASETS = ("digits", "wine", "breast-cancer", "diabetes")
SAMPLERS = ("random", "tpe")
PEERS = (1, 2, 3, 5, 8)


def study(folder: Path, techniques: str, dataset: str, sampler: str, pruner: str) -> Study:
    """Return a study, trained unless the folder has it; the learning rate is searched too."""
    return Study(
        techniques,
        dataset=dataset,
        storage=f"sqlite:///{folder}/{techniques}-{dataset}-{sampler}-{pruner}.db",
        tracking_uri=None,
        objective=["val_loss", "sparsity"],
        trials=TRIALS,
        ask_batch=COHORT_SIZE,
        sampler=sampler,
        pruner={"name": pruner},
        set={"epochs": EPOCHS},
        space={"lr": {"low": 1e-4, "high": 1e-1, "log": True}},
    ).run(observers=[])


def so_far(found: Study) -> np.ndarray:
    """Return ``trials x epochs x 3``: validation loss and sparsity at the best epoch so far, and sparsity now.

    Values are infinite for a trial whose loss never was finite.
    """
    values = np.full((TRIALS, EPOCHS, 3), np.inf)
    for row, trial in zip(values, found.optuna_study.get_trials(deepcopy=False), strict=True):
        curves = Curves.decode(trial.user_attrs[CURVES])
        loss = np.where(np.isfinite(one := curves.of("val_loss")[0].astype(float)), one, np.inf)
        lowest = np.minimum.accumulate(loss)
        best = np.maximum.accumulate(np.where(loss == lowest, np.arange(len(loss)), 0))
        sparsity = curves.of("sparsity")[0]
        row[: len(loss)] = np.stack([lowest, sparsity[best], sparsity], axis=1)
        row[len(loss) :] = row[len(loss) - 1]
    return values


def judge(values: np.ndarray, pruner: ParetoPruner) -> np.ndarray:
    """Return the number of epochs that each trial would have trained, ``(trials,)``."""
    trained = np.full(len(values), EPOCHS)
    trials = [
        FrozenTrial(
            number,
            TrialState.RUNNING,
            None,
            datetime(2026, 1, 1),
            None,
            {},
            {},
            {COHORT: number // COHORT_SIZE},
            {},
            {},
            trial_id=number,
        )
        for number in range(len(values))
    ]
    for cohort in range(-(-len(values) // COHORT_SIZE)):
        alive = trials[cohort * COHORT_SIZE : (cohort + 1) * COHORT_SIZE]
        for rung in pruner.rungs():
            for trial in alive:
                loss, sparsity, now = values[trial.number, rung - 1].tolist()
                kept = {"values": [loss, sparsity], "hoped": [loss, max(sparsity, now)]}
                trial.user_attrs |= {f"rung:{rung}": kept}
            verdicts = pruner.verdicts(trials[: (cohort + 1) * COHORT_SIZE], cohort, rung)
            for trial in (one for one in alive if not verdicts.get(one.number, True)):
                trained[trial.number], trial.state = rung, TrialState.PRUNED
            alive = [trial for trial in alive if trial.state == TrialState.RUNNING]
        for trial in alive:
            trial.state, trial.values = TrialState.COMPLETE, values[trial.number, -1, :2].tolist()
    return trained


def volume(found: Study, values: np.ndarray, trained: np.ndarray, constant: float) -> float:
    """Return the hypervolume of the front of the trials that train to their end."""
    return hypervolume(found.objectives.losses(values[trained == EPOCHS, -1, :2].tolist()), [constant, 0.0])


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--peers", nargs="+", type=int, default=list(PEERS))
    parser.add_argument("--live", action="store_true")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(words)
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for techniques, dataset, sampler in ((t, d, s) for t in TECHNIQUES for d in DATASETS for s in SAMPLERS):
            found = study(folder, techniques, dataset, sampler, "none")
            values, constant = so_far(found), constant_loss(found.batches, found.loss)
            whole = volume(found, values, np.full(TRIALS, EPOCHS), constant)
            row: dict[str, Any] = {"study": f"{techniques}-{dataset}", "sampler": sampler, "peers": {}}
            for peers in args.peers:
                pruner = ParetoPruner(EPOCHS, min_epochs=None, objectives=found.objectives, constant=constant)
                pruner.peers = peers
                trained = judge(values, pruner)
                kept = volume(found, values, trained, constant) / whole if whole else math.nan
                row["peers"][peers] = {"share": trained.mean() / EPOCHS, "kept": kept}
            if args.live:
                pruned = study(folder, techniques, dataset, sampler, "pareto")
                trained = np.array([one.state == TrialState.COMPLETE for one in pruned.optuna_study.trials]) * EPOCHS
                row["live"] = {"kept": volume(pruned, so_far(pruned), trained, constant) / whole}
            results.append(row)
            told = "  ".join(f"{peers}: {one['share']:.0%} {one['kept']:.1%}" for peers, one in row["peers"].items())
            print(f"{row['study']:28}{sampler:8}{told}  {row.get('live', '')}", flush=True)
    for peers in args.peers:
        of = [row["peers"][peers] for row in results]
        shares, left = ([one[name] for one in of] for name in ("share", "kept"))
        means = f"share {np.mean(shares):.1%}, kept {np.mean(left):.2%} on average"
        print(f"{peers} peers: {means}, {np.min(left):.2%} at worst")
    if args.json is not None:
        measure.write(args.json, "pareto", {"trials": TRIALS, "epochs": EPOCHS, "studies": results})


if __name__ == "__main__":
    main()
