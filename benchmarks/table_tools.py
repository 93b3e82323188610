"""The tools that `tables.py` compares: each learns from the rows of a file, and returns predictions of other rows.

Every function takes the .csv file of the training rows, the test rows without their target, the name of the target, the
seconds that it may take, and a seed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import balanced_accuracy_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, OneHotEncoder, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

Predictions = NDArray[Any]

NUMBERS = ("california", "abalone")
"""The tables whose target is a number."""
_VALIDATION = 0.2
_MEMBERS = 8
_FEW = 500
# What a search leaves for the networks that are trained again at its end.
_SEARCHING = 0.7


def regsearch(train: Path, test: pd.DataFrame, target: str, seconds: float, seed: int) -> Predictions:
    """Return predictions of a refitted ensemble."""
    import search

    numbers, targets = train.stem in NUMBERS, pd.read_csv(train)[target]
    study = search.Study(
        "numeric_embedding+periodic_embedding+dropout+weight_decay",
        dataset=train,
        target=target,
        data={"test": 0, "seed": seed, "options": {"task": "regression" if numbers else "classification"}},
        folds=5 if _VALIDATION * len(targets) < _FEW else 0,
        # An accuracy would choose epochs and trials by the luck of a few rows.
        objective=["val_rmse" if numbers else "val_loss"],
        set={"activation": "gelu", "optimizer": "adamw", "batch_size": 256, "epochs": 60},
        one_of={"embedding": ["none", "numeric_embedding", "periodic_embedding"]},
        space={
            "lr": {"low": 1e-3, "high": 1e-2, "log": True},
            "bins": {"choices": [16, 32]},
            "waves": {"choices": [8, 16]},
            "wave_sigma": {"low": 0.03, "high": 1.0, "log": True},
            "hidden": {"choices": ["128", "256x256"]},
            "dropout": {"low": 0.05, "high": 0.7},
            "weight_decay": {"low": 1e-3, "high": 3.0, "log": True},
        },
        pruner={"name": "curve"},
        trials=10**4,
        seed=seed,
        storage=f"sqlite:///{train.parent / 'optuna.db'}",
        tracking_uri=None,
    )
    study.run(timeout=seconds * _SEARCHING)
    while study.best is None:  # its first trials take longer on this table, and begin again
        seconds *= 2
        study.run(timeout=seconds)
    exported = study.export(train.parent / "model.safetensors", ensemble=_MEMBERS, refit=True)
    found = search.load(exported.file).predict(test)
    if numbers:
        return found["prediction"].to_numpy()
    # The balanced accuracy is best for the class whose probability is the largest multiple of its share.
    shares = targets.astype(str).value_counts(normalize=True)
    ratios = pd.DataFrame({name: found[f"probability_{name}"] / share for name, share in shares.items()})
    return ratios.idxmax(axis=1).to_numpy()


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
