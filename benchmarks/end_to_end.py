"""The whole command against the script that a practitioner would write: start-up, search, tracking and exit.

A is ``python -m search.run l2 --pruner none --set epochs=E --trials N``, the drain of its MLflow writer included; B is
`plain.py`, which does the same work one trial at a time: the same data and split sizes, network, minibatches,
optimiser, penalty, metrics and databases. Both run as whole processes, A B A B, each in a folder of its own, with
tracking and without. Afterwards each must have completed every trial, trained every epoch and, where it tracks, left
every epoch's metrics in MLflow.

    python benchmarks/end_to_end.py [--trials 64] [--epochs 200] [--repeats 3] [--tracking both] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import measure

_HERE = Path(__file__).resolve().parent
# Both log these at each epoch.
_METRICS = ("train_loss", "val_loss", "val_accuracy", "sparsity")
# From here on the package thins what it logs and the plain script does not.
_MOST_EPOCHS = 500
_CONTENDERS = ("package", "plain")


def command(contender: str, trials: int, epochs: int, tracking: bool) -> list[str]:
    """The command line of a contender; both print a JSON object with the trials completed and the epochs trained."""
    if contender == "package":
        words = ["-m", "search.run", "l2", "--pruner", "none", "--set", f"epochs={epochs}", "--trials", str(trials)]
        return [sys.executable, *words, "--json", *([] if tracking else ["--tracking-uri", "none"])]
    words = [str(_HERE / "plain.py"), "--trials", str(trials), "--epochs", str(epochs), "--folder", "."]
    return [sys.executable, *words, *([] if tracking else ["--no-tracking"])]


def check(contender: str, printed: str, folder: Path, trials: int, epochs: int, tracking: bool) -> None:
    """Make sure that a contender did the work.

    Raises:
        RuntimeError: a trial is not complete, or an epoch was not trained or not logged.
    """
    outcome = json.loads(printed)
    if outcome["trials"] != {"complete": trials} or outcome["epochs"] != trials * epochs:
        raise RuntimeError(f"{contender} was to train {trials} trials x {epochs} epochs, but says {printed}")
    if not tracking:
        return
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        for metric in _METRICS:
            query = "SELECT COUNT(*), COUNT(DISTINCT run_uuid) FROM metrics WHERE key = ?"
            found = connection.execute(query, (metric,)).fetchone()
            if found != (trials * epochs, trials):
                raise RuntimeError(f"{contender} left {found[0]} values of {metric} in {found[1]} MLflow runs")


def measure_all(trials: int, epochs: int, repeats: int, states: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """Seconds of every run: "tracking on" or "tracking off", then contender, in the order they ran."""
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    seconds: dict[str, dict[str, list[float]]] = {
        f"tracking {state}": {name: [] for name in _CONTENDERS} for state in states
    }
    for repeat in range(repeats):
        for setting, runs in seconds.items():
            tracking = setting == "tracking on"
            for contender in _CONTENDERS:
                with tempfile.TemporaryDirectory() as name:
                    done = measure.timed(command(contender, trials, epochs, tracking), Path(name), environment)
                    check(contender, done.stdout, Path(name), trials, epochs, tracking)
                runs[contender].append(done.seconds)
                print(f"{repeat + 1}/{repeats} {setting}, {contender}: {done.seconds:.1f} s", file=sys.stderr)
    return seconds


def report(runs: dict[str, list[float]]) -> dict[str, Any]:
    """Every run's seconds, their medians and spread, and how many times faster the package is, pair by pair."""
    ratios = [plain / package for package, plain in zip(runs["package"], runs["plain"], strict=True)]
    found: dict[str, Any] = {name: {"seconds": runs[name]} | measure.summary(runs[name]) for name in _CONTENDERS}
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
    parser.add_argument("--tracking", choices=("on", "off", "both"), default="both")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    args = parser.parse_args(words)
    if args.epochs > _MOST_EPOCHS:
        parser.error(f"--epochs must be <= {_MOST_EPOCHS}, beyond which the two log differently; got {args.epochs}")
    states = ("on", "off") if args.tracking == "both" else (args.tracking,)
    seconds = measure_all(args.trials, args.epochs, args.repeats, states)
    results = {setting: report(runs) for setting, runs in seconds.items()}
    print(f"digits, l2, {args.trials} trials x {args.epochs} epochs, {args.repeats} repeats: median (min to max)")
    print(f"{'':14}{'package':>24}{'plain':>26}{'times faster':>24}")
    for setting, found in results.items():
        cells = [_cell(found[name], " s") for name in _CONTENDERS] + [_cell(found["ratio"], "x")]
        print(f"{setting:14}{cells[0]:>24}{cells[1]:>26}{cells[2]:>24}")
    if args.json is not None:
        settings = {"trials": args.trials, "epochs": args.epochs, "repeats": args.repeats}
        measure.write(args.json, "end_to_end", {"settings": settings, "results": results})


if __name__ == "__main__":
    main()
