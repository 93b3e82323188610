"""Measure on redraws of a real table what conformal intervals cover, and how often folds tell equal settings apart.

Coverage: each redraw splits the table anew, into training, validation and test rows. A network is trained, and taken at
its best validation epoch, as in a study. Its 90% intervals come from the validation rows (`search.predict.conformal`)
and are counted on the test rows. An exact 90% would be 90% of the test rows of all redraws together.

Folds: each redraw draws other rows of the table and cuts them into 5 folds. One setting is compared with itself on
other replicates, as `regsearch compare` does (`search.compare.across_folds`), on the loss and on the score. At most 5%
of the redraws may say that one is better.

    python benchmarks/redraws.py TABLE --target COLUMN [--coverage 200] [--folds 400] [--rows 500] [--json FILE]

Prints the coverage with its spread over redraws, and the share of redraws with a verdict, next to what a t test without
the correction for shared training rows would say.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
import torch
from scipy import stats

from search.compare.across_folds import AcrossFolds
from search.compare.scoring import Accuracy, RootMeanSquare
from search.data import Data, load, load_folds
from search.predict.conformal import rank
from search.statistics.crossed import Floats
from search.technique import Value
from search.train.batches import Batches
from search.train.crew import one_thread
from search.train.pack import Pack, Slot
from search.train.program import Program
from search.train.sampling import best_networks

LEVEL = 0.9
FOLDS, EPOCHS = 5, 30
STRUCTURE: dict[str, Value] = {
    "hidden": "64",
    "activation": "leaky_relu",
    "batch_size": 128,
    "epochs": EPOCHS,
    "optimizer": "adam",
}
NUMERIC = {"lr": 3e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}


def program(batches: Batches, task: str) -> Program:
    loss = "cross_entropy" if task == "classification" else "mse"
    return Program.build(STRUCTURE, list(NUMERIC), (), batches, loss=loss, seed=0)


def covered(data: Data) -> float:
    """Return the share of test rows in the intervals, or sets, of one network."""
    batches = Batches(data)
    (best,) = filter(None, best_networks(program(batches, data.task), batches, [Slot(0, 0, NUMERIC)]))
    parts = (batches.x_val, batches.y_val), (batches.x_test, batches.y_test)
    validation, test = (_scores(best.pack, *part) for part in parts)
    q = np.sort(validation)[rank(len(validation), LEVEL) - 1]
    return float((test <= q).mean())


def _scores(pack: Pack, x: torch.Tensor, y: torch.Tensor) -> Floats:
    outputs = pack.batches.outputs
    found, truth = pack.predict(x)[0, :, :outputs].double(), y[:, :outputs].double()
    if pack.batches.task == "regression":
        return np.asarray((found - truth).abs()[:, 0])
    return np.asarray(1 - (found.softmax(-1) * truth).sum(-1))


def equal_settings(folds: tuple[Data, ...]) -> tuple[AcrossFolds, list[tuple[Floats, Floats]]]:
    """Return the scoring, and the metric and the loss on each fold for two equal settings on other replicates."""
    data = replace(folds[0], folds=folds)
    batches = Batches(data)
    scoring = AcrossFolds(Accuracy() if data.task == "classification" else RootMeanSquare(), data)
    values = []
    for first in (0, FOLDS):
        networks = []
        for replicate in range(first, first + FOLDS):
            own = batches.of(replicate)
            slots = [Slot(0, replicate, NUMERIC)]
            (best,) = filter(None, best_networks(program(own, data.task), own, slots))
            networks.append(best.pack)
        values.append(scoring.of_folds(networks))
    return scoring, values


def drawn(table: Path, rows: int, seed: int, folder: Path) -> Path:
    """Write some rows of the table, drawn without replacement, to a file of their own."""
    path = folder / f"{table.stem}.csv"
    pd.read_csv(table).sample(rows, random_state=seed).to_csv(path, index=False)
    return path


@one_thread()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--coverage", type=int, default=200)
    parser.add_argument("--folds", type=int, default=400)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {"table": options.table.name}
    if options.coverage:
        shares = [
            covered(load(str(options.table), target=options.target, split=(0.2, 0.1, 0.7), seed=seed))
            for seed in range(options.coverage)
        ]
        result["coverage"] = {"mean": float(np.mean(shares)), "sd": float(np.std(shares)), "redraws": len(shares)}
        print(f"coverage of {LEVEL:.0%}: {np.mean(shares):.2%} (SD over redraws {np.std(shares):.2%})", flush=True)
    told = {"metric": 0, "loss": 0, "metric, plain t": 0, "loss, plain t": 0}
    with tempfile.TemporaryDirectory() as name:
        for seed in range(options.folds):
            path = drawn(options.table, options.rows, seed, Path(name))
            scoring, (one, other) = equal_settings(load_folds(str(path), target=options.target, folds=FOLDS, seed=seed))
            for at, kind in enumerate(("metric", "loss")):
                values = one[at] - other[at]
                told[kind] += scoring.of_values(values).interval.excludes_zero
                told[f"{kind}, plain t"] += bool(stats.ttest_1samp(values, 0).pvalue < 0.05)
    if options.folds:
        result["equal settings told apart"] = {kind: count / options.folds for kind, count in told.items()}
        for kind, count in told.items():
            print(f"equal settings told apart by {kind}: {count / options.folds:.1%} of {options.folds}")
    if options.json:
        measure.write(options.json, "redraws", result)


if __name__ == "__main__":
    main()
