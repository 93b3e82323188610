"""Measure whether the value that a study states of its winner is right on new rows, and whether its ranges hold.

The value. Each redraw of MNIST takes 600 training and 200 validation rows, and searches 32 trials of l2+dropout. The
study states the objective of its best trial, as the search measured it, and a value on new rows with its interval
(`search.decide`). The truth is the mean loss of the chosen setting on 50,000 other rows, over ten replicates.

In simulated studies the losses of 32 trials on n rows are drawn around true means, with a part that the trials have in
common; the bias is that of the stated value, as a share of the raw optimism.

The range. Each split of a table trains on a fifth and validates on a tenth of its rows, and searches l2 for 32 trials.
The best strength is that of a grid of 17 with the lowest loss on all other rows, a mean over three replicates on the
same training rows. In the planted problem, 60 targets are linear in 30 standard normal inputs, with weights of variance
1 / 3 and noise of variance 1; the model is linear, and the best strength of ridge regression is known:
``sigma^2 / (n tau^2)``, 0.05 (Hoerl and Kennard, 1970). Inputs and target are standardised, which does not change it.

    python benchmarks/winner.py [--redraws 100] [--simulated 400] [--splits 20] [--data-dir data] [--tables FOLDER]
                                [--json FILE]

Prints how often the intervals contain the truth (95% is right), the biases, and how often the ranges contain the best
strength, with the width of the ranges in decades.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from numpy.typing import NDArray

from search import Study
from search.data import load
from search.decide.evidence import Evidence
from search.record.decision import Decision
from search.statistics.crossed import Floats
from search.study.retrain import Retraining, retrain
from search.train.crew import one_thread

ROWS, UNSEEN = (600, 200), 50_000
TRIALS, REPLICATES, GRID = 32, 10, 17
LOW, HIGH = 1e-6, 1e-1
TABLES = {"breast-cancer": None, "wine": None, "credit-g.csv": "class"}
PLANTED_ROWS, PLANTED_INPUTS, VARIANCE = 60, 30, 1 / 3


def redraw(x: NDArray[Any], y: NDArray[Any], seed: int, folder: Path) -> dict[str, float]:
    """Search one redraw of MNIST, and return what it states and the truth."""
    order = np.random.default_rng(seed).permutation(len(x))
    train, val, unseen = np.split(order, [ROWS[0], sum(ROWS)])
    parts = [(x[rows], y[rows]) for rows in (train, val, unseen[:UNSEEN])]
    study = _study("l2+dropout", folder, seed, data=parts[0], val=parts[1], test=parts[2], hidden="32", epochs=12)
    decision, raw = _decided(study)
    truth = _unseen(study, [decision.chosen], REPLICATES)[decision.chosen]
    assert decision.value is not None
    return {"raw": raw, **vars(decision.value), "truth": truth}


def split(name: str, target: str | None, folder: Path, seed: int, tables: Path) -> dict[str, Any]:
    """Search one split of a table, and return its range and the best strength on unseen rows."""
    if name == "planted":
        study = _study("l2", folder, seed, **_planted(seed), hidden="0", epochs=300, lr=0.03)
    else:
        path = str(tables / name) if name.endswith(".csv") else name
        split_ = (0.2, 0.1, 0.7)
        study = _study("l2", folder, seed, dataset=path, target=target, split=split_, split_seed=seed)
    decision, _ = _decided(study)
    (found,) = decision.strengths
    grid = np.geomspace(LOW, HIGH, GRID).tolist()
    losses = _unseen(study, range(GRID), 3, [{"l2": strength} for strength in grid])
    best = grid[min(losses, key=losses.__getitem__)]
    if name == "planted":
        best = 1 / (PLANTED_ROWS * VARIANCE)
    return {
        "low": found.low,
        "high": found.high,
        "chosen": found.chosen,
        "best": best,
        "contained": bool(found.low <= best <= found.high),
        "decades": float(np.log10(found.high / found.low)),
        "chosen_loss": _unseen(study, [0], 3, [{"l2": found.chosen}])[0],
        "best_loss": min(losses.values()),
    }


def _planted(seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, VARIANCE**0.5, PLANTED_INPUTS)

    def rows(count: int) -> tuple[Floats, Floats]:
        x = rng.normal(size=(count, PLANTED_INPUTS))
        return x.astype(np.float32), (x @ weights + rng.normal(size=count)).astype(np.float32)

    return {"data": rows(PLANTED_ROWS), "val": rows(PLANTED_ROWS), "test": rows(20_000)}


def _study(recipe: str, folder: Path, seed: int, **options: Any) -> Study:
    fixed = {name: options.pop(name) for name in ("hidden", "epochs", "lr") if name in options}
    data = {"seed": options.pop("split_seed", 0)}
    storage = f"sqlite:///{folder}/{seed}.db"
    return Study(
        recipe, storage=storage, tracking_uri=None, trials=TRIALS, set=fixed, seed=seed, **data_of(data, options)
    )


def data_of(table: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a study, with fields of its table [data] where it reads a data set by name."""
    return options if "data" in options else options | {"data": table}


def _decided(study: Study) -> tuple[Decision, float]:
    """Run a study, and return its decision and the best objective of the search."""
    study.run(observers=[])
    decision = study.decide()
    assert decision is not None
    assert study.best is not None
    return decision, float(study.best.values[0])


def _unseen(
    study: Study, trials: Sequence[int], replicates: int, settings: Sequence[dict[str, Any]] = ()
) -> dict[int, float]:
    """Return the mean loss on the test rows of trials, or of other settings, over replicates."""
    best = study.optuna_study.trials
    given = settings or [best[trial].params for trial in trials]
    wanted = [Retraining.of(study, n, params, range(replicates)) for n, params in zip(trials, given, strict=True)]
    wanted = [replace(one, program=one.program.deciding()) for one in wanted]
    losses: dict[int, list[float]] = {trial: [] for trial in trials}
    for one in retrain(wanted, "measuring on unseen rows", log=lambda _: None):
        batches = one.network.batches
        losses[one.trial].append(float(one.network.score(batches.x_test, batches.test)[0][0]))
    return {trial: float(np.mean(values)) for trial, values in losses.items()}


def simulated(studies: int) -> Iterator[dict[str, float]]:
    """Yield the bias and coverage of simulated studies of several designs."""
    rng = np.random.default_rng(0)
    for rows in (100, 400):
        for apart in (0.0, 1.0, 2.0):  # the spread of the true means, in standard errors of a difference
            for common in (0.5, 0.9):
                found = [_simulated(rng, rows, apart, common) for _ in range(studies)]
                stated, raw, held = (np.array(column, dtype=np.float64) for column in zip(*found, strict=True))
                yield {
                    "rows": rows,
                    "apart": apart,
                    "common": common,
                    "raw_bias": float(raw.mean()),
                    "bias_share": float(stated.mean() / abs(raw.mean())),
                    "bias_share_se": float(stated.std() / len(stated) ** 0.5 / abs(raw.mean())),
                    "covered": float(held.mean()),
                }


def _simulated(rng: np.random.Generator, rows: int, apart: float, common: float) -> tuple[float, float, bool]:
    means = rng.normal(0, apart * ((1 - common) / rows) ** 0.5, TRIALS)
    own = rng.normal(size=(TRIALS, rows)) * (1 - common) ** 0.5
    cells = means[:, None] + own + rng.normal(size=rows) * common**0.5
    top = np.argsort(cells.mean(1))[:8].tolist()
    evidence = Evidence({trial: cells[trial][None] for trial in top})
    value, chosen = evidence.corrected(evidence.choice()), evidence.choice()
    low, high = value.interval()
    truth = means[chosen]
    return float(value.value - truth), float(cells[chosen].mean() - truth), bool(low <= truth <= high)


def summary(redraws: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the coverage and the biases of some redraws."""
    raw, value, truth, low, high = (
        np.array([one[name] for one in redraws]) for name in ("raw", "value", "truth", "low", "high")
    )
    return {
        "redraws": len(redraws),
        "covered": float(((low <= truth) & (truth <= high)).mean()),
        "raw_bias": float((raw - truth).mean()),
        "bias": float((value - truth).mean()),
        "bias_se": float((value - truth).std() / len(truth) ** 0.5),
        "truth": float(truth.mean()),
        "half_width": float(((high - low) / 2).mean()),
    }


@one_thread()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--redraws", type=int, default=100)
    parser.add_argument("--simulated", type=int, default=400)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--tables", type=Path, default=Path("tabular"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.simulated:
            result["simulated"] = list(simulated(options.simulated))
            print(*result["simulated"], sep="\n", flush=True)
        if options.splits:
            result["ranges"] = {}
            for table, target in [*TABLES.items(), ("planted", None)]:
                own = folder / table
                own.mkdir()
                found = [split(table, target, own, seed, options.tables) for seed in range(options.splits)]
                result["ranges"][table] = found
                contained = np.mean([one["contained"] for one in found])
                width = np.median([one["decades"] for one in found])
                print(f"{table}: {contained:.0%} of {len(found)} ranges hold the best; {width:.1f} decades", flush=True)
        if options.redraws:
            data = load("mnist", data_dir=options.data_dir, offline=True)
            x = torch.cat([data.x_train, data.x_val]).numpy()
            y = torch.cat([data.y_train, data.y_val]).numpy()
            redraws = []
            for seed in range(options.redraws):
                redraws.append(redraw(x, y, seed, folder))
                print(redraws[-1], flush=True)
            result["value"] = summary(redraws) | {"each": redraws}
            print(summary(redraws))
    if options.json:
        measure.write(options.json, "winner", result)


if __name__ == "__main__":
    main()
