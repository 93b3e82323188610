"""Measure the processor time of MLflow's writer for a study of l2 on digits.

The epochs are made up and take a fixed time, so that the writer's work is the same on every machine: it starts, makes
a new `mlflow.db`, shows the trials in training and completes a run for each. Its processor time is that of the process
from start to end, and almost proportional to the number of values: MLflow takes about 60 us for each.

    python benchmarks/writer.py [--trials 64] [--epochs 200] [--epoch-ms 25] [--pruner none] [--repeats 3] [--json FILE]

    --epoch-ms   the time that an epoch of a cohort takes

Prints the writer's processor seconds and the seconds after training until MLflow is up to date, as median (min to max),
and the number of values.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from unittest import mock

import measure
import overhead
import torch

from search import Study
from search.tracking.link import WriterLink
from search.train.pack import Pack


def processor() -> float:
    """Return the processor seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(folder: Path, trials: int, epochs: int, epoch_ms: float, pruner: str) -> dict[str, float]:
    """Run a study and return the figures of its writer."""
    drained: list[float] = []
    close = WriterLink.close

    def epoch(pack: Pack) -> dict[str, torch.Tensor]:
        time.sleep(epoch_ms / 1e3)
        return overhead.quick(pack)

    def timed(link: WriterLink, *, wait: bool) -> bool:
        start = time.perf_counter()
        try:
            return close(link, wait=wait)
        finally:
            drained.append(time.perf_counter() - start)

    study = Study(
        "l2",
        set={"epochs": epochs},
        pruner={"name": pruner},
        storage=f"sqlite:///{folder}/optuna.db",
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        device="cpu",
    )
    before = processor()
    with mock.patch.object(Pack, "run_epoch", epoch), mock.patch.object(WriterLink, "close", timed):
        study.run(trials, observers=[])
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        (values,) = connection.execute("SELECT count(*) FROM metrics").fetchone()
    return {"processor": processor() - before, "drain": drained[0], "values": values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--epoch-ms", type=float, default=25.0)
    parser.add_argument("--pruner", default="none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    runs = []
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(run(Path(folder), args.trials, args.epochs, args.epoch_ms, args.pruner))
    found = overhead.spread(runs)
    for name, one in found.items():
        print(f"{name:10}{one['median']:.3g} ({one['min']:.3g} to {one['max']:.3g})")
    if args.json is not None:
        given = {name: value for name, value in vars(args).items() if name != "json"}
        measure.write(args.json, "writer", {"settings": given | {"load": os.getloadavg()[1]}, "writer": found})


if __name__ == "__main__":
    main()
