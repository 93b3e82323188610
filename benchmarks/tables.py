"""Compare whole tools on real tables, with equal time: from a table to predictions of rows that none of them has seen.

    regsearch   a search of the embedding of numbers (none, bins or waves), dropout, weight decay, learning rate and
                width by the validation loss; then a refitted ensemble of at most 8 networks, whose probabilities decide
                for the balanced accuracy. Below 500 validation rows it searches on 5 folds, as its own note advises
    xgboost     XGBoost, tuned by Optuna's TPE on a validation split, then fitted to all rows; the weights of classes
                are searched as well
    realmlp     RealMLP-TD of pytabkit at its defaults, one network; its time is what it takes. It takes no missing
                numbers, so they become medians
    mlp         scikit-learn's MLPClassifier or MLPRegressor, tuned like XGBoost

Every table is split into 80% and 20% of its rows several times. Each tool gets the larger part as a .csv file and so
many seconds on all cores, in a process of its own; the tools take turns. The smaller part is scored once: balanced
accuracy for classes, RMSE in the units of the target for numbers.

    python benchmarks/tables.py DATA_FOLDER [--tables credit-g car ...] [--tools regsearch xgboost realmlp mlp]
        [--splits 5] [--seconds 60] [--json FILE]

Prints the mean score of each tool, and how much better each other tool is than regsearch: means of the paired
differences over splits, with 95% intervals (Student's t, corrected for shared training rows as in
`search.compare.across_folds`). A tool whose package is missing is left out, with a note.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from table_tools import NUMBERS, TOOLS

Floats = NDArray[np.float64]

TARGETS = {
    "credit-g": "class",
    "car": "class",
    "segment": "class",
    "mfeat-factors": "class",
    "phoneme": "class",
    "california": "median_house_value",
    "abalone": "rings",
}
PACKAGES = {"regsearch": "optuna", "xgboost": "xgboost", "realmlp": "pytabkit", "mlp": "sklearn"}
_TEST = 0.2


def one(tool: str, folder: Path, table: str, seconds: float, seed: int) -> None:
    """Run one tool on the files in a folder, and print its score and its seconds."""
    warnings.simplefilter("ignore")
    target, started = TARGETS[table], time.perf_counter()
    test = pd.read_csv(folder / "new" / f"{table}.csv")
    truth = test.pop(target)
    found = TOOLS[tool](folder / f"{table}.csv", test, target, seconds, seed)
    taken = time.perf_counter() - started
    score = (
        root_mean_squared_error(truth, found.astype(float))
        if table in NUMBERS
        else balanced_accuracy_score(truth.astype(str), found.astype(str))
    )
    print(json.dumps({"score": float(score), "seconds": taken}))


def runs(data: Path, tables: list[str], tools: list[str], splits: int, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the score of every tool on every split."""
    for split in range(splits):
        for table in tables:
            frame = pd.read_csv(data / f"{table}.csv")
            stratify = None if table in NUMBERS else frame[TARGETS[table]]
            train, test = train_test_split(frame, test_size=_TEST, random_state=split, stratify=stratify)
            for tool in tools:
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    (folder / "new").mkdir()
                    train.to_csv(folder / f"{table}.csv", index=False)
                    test.to_csv(folder / "new" / f"{table}.csv", index=False)
                    words = [sys.executable, __file__, "--one", tool, str(folder), table, str(seconds), str(split)]
                    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
                if done.returncode:
                    print(f"{tool} fails on {table}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                    continue
                found = json.loads(done.stdout.strip().splitlines()[-1])
                print(f"{table:14} split {split} {tool:10} {found['score']:.4f} {found['seconds']:6.1f} s", flush=True)
                yield {"table": table, "split": split, "tool": tool, **found}


def interval(differences: Floats) -> tuple[float, float, float]:
    """Return a mean difference over splits with its 95% interval, corrected for the rows that splits share."""
    count = len(differences)
    if count < 2:
        return float(differences.mean()), float("nan"), float("nan")
    error = np.sqrt((1 / count + _TEST / (1 - _TEST)) * differences.var(ddof=1))
    half = stats.t.ppf(0.975, count - 1) * error
    return float(differences.mean()), float(differences.mean() - half), float(differences.mean() + half)


def summary(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each tool's mean score on each table, and its paired difference from regsearch."""
    frame, rows = pd.DataFrame(found), []
    for table, part in frame.groupby("table", sort=False):
        wide = part.pivot(index="split", columns="tool", values="score")
        for tool in wide.columns:
            row: dict[str, Any] = {
                "table": table,
                "tool": tool,
                "score": float(wide[tool].mean()),
                "splits": int(wide[tool].count()),
            }
            row["seconds"] = float(part[part.tool == tool].seconds.median())
            if tool != "regsearch" and "regsearch" in wide:
                row["minus_regsearch"] = interval((wide[tool] - wide["regsearch"]).dropna().to_numpy())
            rows.append(row)
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        tool, folder, table, seconds, seed = sys.argv[2:]
        one(tool, Path(folder), table, float(seconds), int(seed))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tables", nargs="+", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    for tool in [tool for tool in options.tools if importlib.util.find_spec(PACKAGES[tool]) is None]:
        print(f"{tool} is left out: the package {PACKAGES[tool]} is missing", file=sys.stderr)
        options.tools.remove(tool)
    found: list[dict[str, Any]] = []
    for run in runs(options.data, options.tables, options.tools, options.splits, options.seconds):
        found.append(run)
        if options.json:
            result = {"seconds": options.seconds, "runs": found, "summary": summary(found)}
            measure.write(options.json, "tables", result)
    print(f"\n{'table':14} {'tool':10} {'score':>10} {'seconds':>8}  minus regsearch (95% interval)")
    for row in summary(found):
        difference = row.get("minus_regsearch")
        text = "" if difference is None else f"{difference[0]:+.4g} ({difference[1]:+.4g} to {difference[2]:+.4g})"
        print(f"{row['table']:14} {row['tool']:10} {row['score']:10.4f} {row['seconds']:8.1f}  {text}")


if __name__ == "__main__":
    main()
