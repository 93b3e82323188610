"""Compare whole tools on real tables, with equal time: from a table to predictions of rows that none of them has seen.

    regsearch   a search of l2+dropout, the learning rate and, for classes, class_weight; then a refitted ensemble of at
                most 8 networks. Below 500 validation rows it searches on 5 folds, as its own note advises
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import measure
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import balanced_accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

Predictions = NDArray[Any]
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
NUMBERS = ("california", "abalone")
PACKAGES = {"regsearch": "optuna", "xgboost": "xgboost", "realmlp": "pytabkit", "mlp": "sklearn"}
_TEST, _VALIDATION = 0.2, 0.2
_MEMBERS = 8
_FEW = 500
# What a search leaves for the networks that are trained again at its end.
_SEARCHING = 0.7


def regsearch(train: Path, test: pd.DataFrame, target: str, seconds: float, seed: int) -> Predictions:
    """Return predictions of a refitted ensemble."""
    import search

    numbers, rows = train.stem in NUMBERS, len(pd.read_csv(train))
    study = search.Study(
        "l2+dropout" if numbers else "l2+dropout+class_weight",
        dataset=train,
        target=target,
        data={"test": 0, "seed": seed, "options": {"task": "regression" if numbers else "classification"}},
        folds=5 if _VALIDATION * rows < _FEW else 0,
        objective=["val_rmse" if numbers else "val_balanced_accuracy"],
        space={"lr": {"low": 3e-4, "high": 3e-2, "log": True}},
        pruner={"name": "curve"},
        trials=10**4,
        seed=seed,
        storage=f"sqlite:///{train.parent / 'optuna.db'}",
        tracking_uri=None,
    )
    study.run(timeout=seconds * _SEARCHING)
    exported = study.export(train.parent / "model.safetensors", ensemble=_MEMBERS, refit=True)
    found = search.load(exported.file).predict(test)["prediction"]
    return found.to_numpy() if numbers else found.astype(str).to_numpy()


def xgboost(train: Path, test: pd.DataFrame, target: str, seconds: float, seed: int) -> Predictions:
    """Return predictions of XGBoost with the best of the settings that fit into the time."""
    from xgboost import XGBClassifier, XGBRegressor

    numbers = train.stem in NUMBERS
    kind = XGBRegressor if numbers else XGBClassifier

    def build(trial: Any) -> Any:
        return kind(
            n_estimators=2000,
            learning_rate=trial.suggest_float("learning_rate", 5e-3, 0.3, log=True),
            max_depth=trial.suggest_int("max_depth", 2, 10),
            min_child_weight=trial.suggest_float("min_child_weight", 0.5, 20, log=True),
            subsample=trial.suggest_float("subsample", 0.5, 1),
            colsample_bytree=trial.suggest_float("colsample_bytree", 0.4, 1),
            reg_lambda=trial.suggest_float("reg_lambda", 1e-3, 100, log=True),
            reg_alpha=trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
            early_stopping_rounds=50,
            enable_categorical=True,
            n_jobs=2,
            random_state=seed,
        )

    def fit(model: Any, x: Any, y: Any, weights: Any, part: Any) -> Any:
        return model.fit(x, y, sample_weight=weights, eval_set=part and [part], verbose=False)

    def again(best: Any, fitted: Any) -> Any:
        return build(best).set_params(n_estimators=fitted.best_iteration + 1, early_stopping_rounds=None)

    return _tuned(train, test, target, seconds, seed, build, fit, again, as_categories=True)


def mlp(train: Path, test: pd.DataFrame, target: str, seconds: float, seed: int) -> Predictions:
    """Return predictions of scikit-learn's network with the best of the settings that fit into the time."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    numbers = train.stem in NUMBERS

    def build(trial: Any) -> Any:
        width = trial.suggest_categorical("width", [64, 128, 256])
        network = (MLPRegressor if numbers else MLPClassifier)(
            hidden_layer_sizes=(width,) * trial.suggest_int("layers", 1, 3),
            alpha=trial.suggest_float("alpha", 1e-6, 10, log=True),
            learning_rate_init=trial.suggest_float("learning_rate_init", 1e-4, 1e-2, log=True),
            early_stopping=True,
            max_iter=300,
            random_state=seed,
        )
        text = make_column_selector(dtype_include=["object", "string", "category"])
        values = make_column_selector(dtype_include="number")
        inputs = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()), values),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), text),
        )
        return make_pipeline(inputs, network)

    def fit(model: Any, x: Any, y: Any, weights: Any, _part: Any) -> Any:
        return model.fit(x, y, **{f"{model.steps[-1][0]}__sample_weight": weights})

    return _tuned(train, test, target, seconds, seed, build, fit, lambda best, _fitted: build(best))


def realmlp(train: Path, test: pd.DataFrame, target: str, _seconds: float, seed: int) -> Predictions:
    """Return predictions of RealMLP-TD at its defaults."""
    from pytabkit import RealMLP_TD_Classifier, RealMLP_TD_Regressor

    frame = pd.read_csv(train)
    medians = frame.drop(columns=target).median(numeric_only=True)
    frame, test = frame.fillna(medians), test.fillna(medians)
    kind = RealMLP_TD_Regressor if train.stem in NUMBERS else RealMLP_TD_Classifier
    model = kind(device="cpu", random_state=seed, n_threads=2, verbosity=0)
    target_values = frame.pop(target)
    model.fit(_categories(frame), target_values if train.stem in NUMBERS else target_values.astype(str))
    return np.asarray(model.predict(_categories(test)))


def _categories(frame: pd.DataFrame) -> pd.DataFrame:
    text = [name for name in frame.columns if frame[name].dtype.kind not in "if"]
    return frame.astype(dict.fromkeys(text, "category"))


def _tuned(
    train: Path,
    test: pd.DataFrame,
    target: str,
    seconds: float,
    seed: int,
    build: Callable[[Any], Any],
    fit: Callable[..., Any],
    again: Callable[[Any, Any], Any],
    *,
    as_categories: bool = False,
) -> Predictions:
    """Search settings by TPE on a validation split until the time is over, and fit the best one to all rows."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    numbers, frame = train.stem in NUMBERS, pd.read_csv(train)
    y, coder = frame.pop(target), LabelEncoder()
    if not numbers:
        y = pd.Series(coder.fit_transform(y.astype(str)))
    if as_categories:
        together = _categories(pd.concat([frame, test], ignore_index=True))
        frame, test = together.iloc[: len(frame)], together.iloc[len(frame) :]
    stratify = None if numbers else y
    x_fit, x_val, y_fit, y_val = train_test_split(frame, y, test_size=_VALIDATION, random_state=seed, stratify=stratify)

    def weights(trial: Any, classes: Any) -> Any:
        if numbers:
            return None
        return compute_sample_weight("balanced", classes) ** trial.suggest_float("class_weight", 0, 1)

    fitted: dict[int, Any] = {}
    best = [-np.inf]

    def objective(trial: Any) -> float:
        model = fit(build(trial), x_fit, y_fit, weights(trial, y_fit), (x_val, y_val))
        found = model.predict(x_val)
        value = -root_mean_squared_error(y_val, found) if numbers else balanced_accuracy_score(y_val, found)
        if value > best[0]:
            best[0] = value
            fitted.clear()
            fitted[trial.number] = model
        return float(value)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, timeout=seconds * _SEARCHING)
    trial = optuna.trial.FixedTrial(study.best_params)
    model = fit(again(trial, fitted[study.best_trial.number]), frame, y, weights(trial, y), None)
    found = model.predict(test)
    return np.asarray(found) if numbers else coder.inverse_transform(np.asarray(found))


TOOLS = {"regsearch": regsearch, "xgboost": xgboost, "realmlp": realmlp, "mlp": mlp}


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
