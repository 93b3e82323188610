"""Time a table of settings, each with a regulariser of its own, against a plain PyTorch loop, row by row.

The table has the eight settings of `studies/notebooks/cifar10-regularization.toml`: plain, batch normalisation,
dropout, L2, max-norm, L1, soft thresholding and consistency. The package runs it as one study without MLflow: it asks,
trains, measures and writes every curve to its database. The loops of `mixed_plain.py` train one row after another with
`torch.nn` and `torch.optim`: the same network and minibatches, the row's own regulariser only, the validation rows
after each epoch, on torch's default number of threads. Both have the data on the device; imports, loading and a first
epoch to warm up are timed for neither. Package and loops take turns.

    mnist     MNIST as torchvision stores it, 60,000 x 784; 5 epochs
    cifar10   random pixels of CIFAR-10's shape, 50,000 x 3072; 3 epochs

    python benchmarks/mixed.py [--data mnist cifar10] [--data-dir data] [--repeats 5] [--epochs N] [--alone]
        [--rows N] [--device cpu|cuda] [--json FILE]

Prints the seconds of both, as median (min to max), and how many times faster the package is, each turn by itself. With
--alone each row is also run as a study of one trial, next to its loop. `engine.py --slots 1` times the steps of one
plain network.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import measure
import torch
from mixed_plain import Plain
from optuna.trial import TrialState
from pixels import random_pixels

from search import Study
from search.data import Data
from search.recipe import Recipe
from search.record.observer import Asked, Trained

RECIPE = "notebooks/cifar10-regularization"
EPOCHS = {"mnist": 5, "cifar10": 3}


class Silent:
    """An observer without a progress bar."""

    def asked(self, cohort: Sequence[Asked]) -> None: ...

    def epoch(self, members: Sequence[Trained]) -> None: ...

    def told(self, number: int, state: TrialState, value: float | None) -> None: ...


def load(name: str, folder: Path, rows: int | None) -> Data:
    """Return a data set, with at most so many training and validation rows."""
    if name == "cifar10":
        return random_pixels(*([rows, rows] if rows else []))
    data = Study(Recipe.load(RECIPE), dataset=name, data_dir=folder, offline=True, tracking_uri=None).data
    parts = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")
    return replace(data, **{part: getattr(data, part)[:rows] for part in parts})


class Package:
    """The table, or some rows of it, as a study in a new database each time."""

    def __init__(self, recipe: Recipe, data: Data, device: str) -> None:
        self._recipe, self._data, self._device = recipe, data, device
        self._folder = tempfile.TemporaryDirectory()
        self._runs = 0

    def study(self, rows: Sequence[int], **changes: Any) -> Study:
        self._runs += 1
        settings = [self._recipe.settings[row].model_dump() for row in rows]
        study = Study(
            self._recipe,
            storage=f"sqlite:///{self._folder.name}/{self._runs}.db",
            tracking_uri=None,
            device=self._device,
            loaded=self._data,
            settings=settings,
            **changes,
        )
        _ = study.batches  # the data are on the device before the clock starts
        return study

    @staticmethod
    def train(study: Study) -> list[float]:
        """Run the study, and return the last validation loss of each row.

        Raises:
            RuntimeError: a trial is not complete, or an epoch is missing.
        """
        study.run(observers=[Silent()])
        trials = study.trials()
        epochs = trials["epochs_trained"].tolist()
        if set(trials["state"]) != {"complete"} or set(epochs) != {float(study.recipe.set["epochs"])}:
            raise RuntimeError(f"every trial was to train {study.recipe.set['epochs']} epochs, but they say {epochs}")
        losses: list[float] = trials["final_val_loss"].tolist()
        return losses


def timed(device: torch.device, work: Callable[[], list[float]]) -> tuple[float, list[float]]:
    """Return the seconds until the device has done the work, and its result."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    wait()
    started = time.perf_counter()
    found = work()
    wait()
    return time.perf_counter() - started, found


def compare(name: str, data: Data, args: argparse.Namespace) -> dict[str, Any]:
    """Time the table of one data set, and return the figures."""
    recipe = Recipe.load(RECIPE)
    recipe = recipe.but(recipe.name, set={"epochs": args.epochs or EPOCHS[name]})
    device = torch.device(args.device)
    package = Package(recipe, data, args.device)
    study = package.study(range(len(recipe.settings)))
    tensors = (data.x_train.to(device), data.y_train.to(device), data.x_val.to(device), data.y_val.to(device))
    labels = [setting.label for setting in recipe.settings]
    loops = []
    for setting in recipe.settings:
        own = {key: value for key, value in recipe.set.items() if key != "batch_norm"}
        loops.append(Plain(own | dict(setting.set), tensors, data.outputs))
    Package.train(package.study(range(len(labels)), set={"epochs": 1}))
    for loop in loops:
        replace(loop, values={**loop.values, "epochs": 1}).train()
    table: list[float] = []
    alone: list[list[float]] = [[] for _ in labels]
    plain: list[list[float]] = [[] for _ in labels]
    ours = theirs = [0.0] * len(labels)
    for _ in range(args.repeats):
        study = package.study(range(len(labels)))
        seconds, ours = timed(device, partial(Package.train, study))
        table.append(seconds)
        theirs = []
        for row, loop in enumerate(loops):
            if args.alone:
                one = package.study([row])
                alone[row].append(timed(device, partial(Package.train, one))[0])
            seconds, losses = timed(device, loop.train)
            plain[row].append(seconds)
            theirs.append(losses[-1])
    totals = [sum(each) for each in zip(*plain, strict=True)]
    rows = {
        label: {
            "plain_seconds": measure.summary(plain[row]),
            "final_val_loss": {"package": ours[row], "plain": theirs[row]},
            **(
                {
                    "alone_seconds": measure.summary(alone[row]),
                    "alone_is_faster": measure.ratios(plain[row], alone[row]),
                }
                if args.alone
                else {}
            ),
        }
        for row, label in enumerate(labels)
    }
    return {
        "epochs": recipe.set["epochs"],
        "train_rows": len(data.x_train),
        "package_seconds": measure.summary(table),
        "plain_seconds": measure.summary(totals),
        "package_is_faster": measure.ratios(totals, table),
        "runs": {"package": table, "plain": dict(zip(labels, plain, strict=True))},
        "rows": rows,
    }


def _cell(one: Mapping[str, float], unit: str = " s") -> str:
    return f"{one['median']:.2f}{unit} ({one['min']:.2f} to {one['max']:.2f})"


def show(name: str, found: Mapping[str, Any]) -> None:
    print(f"{name}, {found['epochs']} epochs of {found['train_rows']:,} rows")
    print(f"  the table: package {_cell(found['package_seconds'])}, plain {_cell(found['plain_seconds'])}; ", end="")
    print(f"package is faster {_cell(found['package_is_faster'], 'x')}")
    for label, row in found["rows"].items():
        line = f"  {label:20} plain {_cell(row['plain_seconds'])}"
        if "alone_seconds" in row:
            line += f"; alone {_cell(row['alone_seconds'])}, faster {_cell(row['alone_is_faster'], 'x')}"
        losses = row["final_val_loss"]
        print(f"{line}; final val_loss {losses['package']:.4g} and {losses['plain']:.4g}")
    share = statistics.median(found["runs"]["package"]) / len(found["rows"])
    print(f"  the package takes {share:.2f} s a row", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=tuple(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="the folder that contains MNIST/raw")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="default: 5 for mnist, 3 for cifar10")
    parser.add_argument("--alone", action="store_true", help="also run each row as a study of its own")
    parser.add_argument("--rows", type=int, help="use the first rows only, to try the script")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args()
    results = {}
    for name in args.data:
        results[name] = compare(name, load(name, args.data_dir, args.rows), args)
        show(name, results[name])
    if args.json is not None:
        measure.write(args.json, "mixed", {"repeats": args.repeats, "results": results})


if __name__ == "__main__":
    main()
