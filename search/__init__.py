"""Hyperparameter search for the regularisation and optimisation of MLPs: many trials train as one batched network.

    recipe --> data --> ask --> pack --> epoch --> metrics --> rung: judge --> tell --> record --> show

From Python, start with `Study`. Each command has a method or a function of the same name, which returns an object.
Printed, the object is the command's text; a notebook shows it as a table or a figure; its attributes are the numbers.

    regsearch data homes.csv        describe_data("homes.csv")
    regsearch run l2                study = Study("l2"); study.run(); study.best, study.trials(), study.curves()
    regsearch run l2 --check        study.check()
    regsearch report l2             study.report()
    regsearch export l2             study.export("model.safetensors")
    regsearch predict l2 new.csv    study.predict("new.csv")
    regsearch replay l2 12          study.replay(12)
    regsearch uncertainty l2        study.uncertainty()
    regsearch ablate l2+dropout     study.ablate()
    regsearch compare l2 l1         compare_studies(study, other)
    regsearch sync l2               sync_studies("l2")

`load("model.safetensors").predict("new.csv")` predicts by an exported network alone.

`MLPSearchClassifier().fit(X, y)` and `MLPSearchRegressor().fit(X, y)` are searches as estimators of scikit-learn.

A command finds its study in the storage, with every change that the study was run with. So does `load_study("l2")`.

Names are loaded when they are first used (PEP 562), so that a command answers `--help` before torch is imported.
"""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.api import Study, load_study
    from search.compare.studies import compare_studies
    from search.data.card import describe_data
    from search.errors import EnvironmentFault, RequestError
    from search.estimators import MLPSearchClassifier, MLPSearchRegressor
    from search.predict.predictor import load
    from search.recipe import Recipe
    from search.sync import sync_studies
    from search.technique import Numeric, Structural, Technique
    from search.train.metrics.metric import Metric

# Optuna imports tqdm, which asks for ipywidgets in any notebook; no bar of theirs is shown here.
warnings.filterwarnings("ignore", message="IProgress not found")

_HOMES = {
    "Study": "search.api",
    "load_study": "search.api",
    "load": "search.predict.predictor",
    "compare_studies": "search.compare.studies",
    "describe_data": "search.data.card",
    "sync_studies": "search.sync",
    "MLPSearchClassifier": "search.estimators",
    "MLPSearchRegressor": "search.estimators",
    "Recipe": "search.recipe",
    "Technique": "search.technique",
    "Numeric": "search.technique",
    "Structural": "search.technique",
    "Metric": "search.train.metrics.metric",
    "RequestError": "search.errors",
    "EnvironmentFault": "search.errors",
}

__all__ = [
    "EnvironmentFault",
    "MLPSearchClassifier",
    "MLPSearchRegressor",
    "Metric",
    "Numeric",
    "Recipe",
    "RequestError",
    "Structural",
    "Study",
    "Technique",
    "compare_studies",
    "describe_data",
    "load",
    "load_study",
    "sync_studies",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
