"""Time the whole command against the script that a practitioner would write.

A is ``python -m search.run l2 --set epochs=E --trials N``, until its MLflow writer has finished. B is `plain.py`, which
does the same work one trial at a time: the same data and split sizes, network, minibatches, optimiser, penalty, metrics
and databases. Both run as whole processes, from start-up to exit, in turn (A B A B), each in a folder of its own:

    tracking on, tracking off   digits, with and without MLflow; nothing is pruned, so that the work is equal
    pruning                     digits, twice the trials; A prunes by its default, B with Optuna's MedianPruner
    pruning early               the same, where A runs with --pruner curve
    mnist                       MNIST in batches of 4096, an eighth of the trials and a tenth of the epochs

Each run must have told every trial. Where nothing is pruned, it must also have trained every epoch and left each
epoch's metrics in MLflow.

    python benchmarks/end_to_end.py [--trials 64] [--epochs 200] [--repeats 3] [--json FILE]
        [--settings "tracking on" "tracking off" pruning "pruning early" mnist] [--mnist DATA_DIR]

Prints the seconds of both, as median (min to max), and how many times faster the command is; and, because pruning must
not be bought with worse results, the seconds after which a complete trial is as good as the best of the plain run
beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import measure
import optuna
from optuna.trial import TrialState

_HERE = Path(__file__).resolve().parent
# Metrics that both log at each epoch.
_METRICS = ("train_loss", "val_loss", "val_accuracy", "sparsity")
# Beyond so many epochs the package thins what it logs; the plain script does not.
_MOST_EPOCHS = 500
_CONTENDERS = ("package", "plain")
_SETTINGS = ("tracking on", "tracking off", "pruning", "pruning early", "mnist")


@dataclass(frozen=True)
class Scenario:
    """What both are to do."""

    trials: int
    epochs: int
    tracking: bool = True
    pruner: str | None = None
    mnist: Path | None = None

    def command(self, contender: str) -> list[str]:
        """Return the command of a contender; both print a JSON object with trials by state, epochs and the best."""
        if contender == "package":
            words = ["-m", "search.run", "l2", "--set", f"epochs={self.epochs}", "--trials", str(self.trials), "--json"]
            words += ["--pruner", self.pruner or "none"]
            words += [] if self.tracking else ["--tracking-uri", "none"]
            if self.mnist is not None:
                words += ["--dataset", "mnist", "--data-dir", str(self.mnist), "--offline", "--batch-size", "4096"]
                words += ["--hidden", "128,128,128"]
            return [sys.executable, *words]
        words = [str(_HERE / "plain.py"), "--trials", str(self.trials), "--epochs", str(self.epochs), "--folder", "."]
        words += ["--median"] if self.pruner else []
        words += [] if self.tracking else ["--no-tracking"]
        return [sys.executable, *words, *(["--mnist", str(self.mnist)] if self.mnist is not None else [])]

    def check(self, contender: str, printed: str, folder: Path) -> float:
        """Make sure that a contender has done the work, and return its best validation loss.

        Raises:
            RuntimeError: A trial was not told, or an epoch was not trained or not logged.
        """
        outcome = json.loads(printed)
        told = sum(outcome["trials"].get(state, 0) for state in ("complete", "pruned"))
        all_epochs = self.pruner is not None or outcome["epochs"] == self.trials * self.epochs
        if told != self.trials or not all_epochs:
            raise RuntimeError(f"{contender} was to do {self.trials} trials x {self.epochs} epochs, but says {printed}")
        if self.tracking and self.pruner is None:
            with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
                for metric in _METRICS:
                    query = "SELECT COUNT(*), COUNT(DISTINCT run_uuid) FROM metrics WHERE key = ?"
                    found = connection.execute(query, (metric,)).fetchone()
                    if found != (self.trials * self.epochs, self.trials):
                        raise RuntimeError(f"{contender} left {found[0]} values of {metric} in {found[1]} MLflow runs")
        return float(outcome["best"]["value"])


Told = list[tuple[float, float]]
"""For each complete trial the seconds from the command's start, and the trial's value."""
Run = tuple[float, float, Told]
"""The seconds of a run, its best validation loss, and its complete trials."""


def told(folder: Path, started: datetime) -> Told:
    """Return the complete trials of a run."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = f"sqlite:///{folder / 'optuna.db'}"
    trials = optuna.load_study(study_name=None, storage=storage).get_trials(states=(TrialState.COMPLETE,))
    return [
        ((trial.datetime_complete - started).total_seconds(), trial.value)
        for trial in trials
        if trial.datetime_complete is not None and trial.value is not None
    ]


def measure_all(settings: Mapping[str, Scenario], repeats: int) -> dict[str, dict[str, list[Run]]]:
    """Run everything, and return the runs by setting and contender in their order."""
    # Python keeps compiled modules, as in most shells.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = kept | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    runs: dict[str, dict[str, list[Run]]] = {name: {one: [] for one in _CONTENDERS} for name in settings}
    for repeat in range(repeats):
        for name, setting in settings.items():
            for contender in _CONTENDERS:
                with tempfile.TemporaryDirectory() as folder:
                    started = datetime.now()
                    done = measure.timed(setting.command(contender), Path(folder), environment)
                    best = setting.check(contender, done.stdout, Path(folder))
                    trials = told(Path(folder), started)
                runs[name][contender].append((done.seconds, best, trials))
                print(
                    f"{repeat + 1}/{repeats} {name}, {contender}: {done.seconds:.1f} s, best {best:.4g}",
                    file=sys.stderr,
                )
    return runs


def report(runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return every run's seconds, with medians and spread, and the speed-up of each pair of runs."""
    found: dict[str, Any] = {}
    for name, of_one in runs.items():
        seconds = [taken for taken, _, _ in of_one]
        found[name] = {"seconds": seconds, "best": [best for _, best, _ in of_one]} | measure.summary(seconds)
    found["seconds_to_plain_best"] = {
        name: [
            min((at for at, value in trials if value <= target), default=None)
            for (_, _, trials), (_, target, _) in zip(runs[name], runs["plain"], strict=True)
        ]
        for name in _CONTENDERS
    }
    pairs = zip(found["package"]["seconds"], found["plain"]["seconds"], strict=True)
    ratios = [plain / package for package, plain in pairs]
    return found | {"ratio": {"pairs": ratios} | measure.summary(ratios)}


def _cell(values: dict[str, float], unit: str) -> str:
    return f"{values['median']:.1f}{unit} ({values['min']:.1f} to {values['max']:.1f})"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, got {value}")
    return value


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=_positive, default=64)
    parser.add_argument("--epochs", type=_positive, default=200)
    parser.add_argument("--repeats", type=_positive, default=3)
    parser.add_argument("--settings", nargs="+", choices=_SETTINGS, default=list(_SETTINGS[:3]))
    parser.add_argument("--mnist", type=Path, help="torchvision's data directory, for that setting")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args(words)
    if args.epochs > _MOST_EPOCHS:
        parser.error(f"--epochs must be <= {_MOST_EPOCHS}, beyond which the two log differently; got {args.epochs}")
    if "mnist" in args.settings and args.mnist is None:
        parser.error("the setting mnist takes --mnist DATA_DIR")
    mnist = None if args.mnist is None else args.mnist.absolute()
    known = {
        "tracking on": Scenario(args.trials, args.epochs),
        "tracking off": Scenario(args.trials, args.epochs, tracking=False),
        "pruning": Scenario(2 * args.trials, args.epochs, pruner="halving"),
        "pruning early": Scenario(2 * args.trials, args.epochs, pruner="curve"),
        "mnist": Scenario(max(2, args.trials // 8), max(1, args.epochs // 10), mnist=mnist),
    }
    settings = {name: known[name] for name in args.settings}
    results = {name: report(runs) for name, runs in measure_all(settings, args.repeats).items()}
    print(f"l2, {args.trials} trials x {args.epochs} epochs, {args.repeats} repeats: median (min to max)")
    print(f"{'':14}{'package':>24}{'plain':>26}{'times faster':>24}")
    for name, found in results.items():
        cells = [_cell(found[one], " s") for one in _CONTENDERS] + [_cell(found["ratio"], "x")]
        print(f"{name:14}{cells[0]:>24}{cells[1]:>26}{cells[2]:>24}")
        reached = {
            one: [None if at is None else round(at, 1) for at in of_one]
            for one, of_one in found["seconds_to_plain_best"].items()
        }
        print(f"{'':14}seconds to the plain script's best: {reached}")
    if args.json is not None:
        given = {name: {"trials": one.trials, "epochs": one.epochs} for name, one in settings.items()}
        measure.write(args.json, "end_to_end", {"settings": given, "repeats": args.repeats, "results": results})


if __name__ == "__main__":
    main()
