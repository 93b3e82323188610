"""Data sets as tensors: read, split into training, validation and test rows, and scaled by the training rows.

    tables | synthetic | vision | files  --Source-->  split: Parts | folds  -->  scaled by training rows: Data

Names are loaded when they are first used (PEP 562), so that a command answers `--help` before torch is imported. The
data sets of scikit-learn are read from its files without importing it. torchvision is imported when one of its data
sets is asked for, and pandas, scikit-learn or Pillow when a user's file needs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.data.catalogue import DATASETS, dataset_name, is_path, load, load_folds, resolve_dataset, resolve_paths
    from search.data.columns import Preprocessor
    from search.data.dataset import Data
    from search.data.features import Feature
    from search.data.piecewise import PiecewiseLinear
    from search.data.scaling import Scaling

_CATALOGUE = ("DATASETS", "dataset_name", "is_path", "load", "load_folds", "resolve_dataset", "resolve_paths")
_HOMES = dict.fromkeys(_CATALOGUE, "search.data.catalogue") | {
    "Data": "search.data.dataset",
    "Feature": "search.data.features",
    "PiecewiseLinear": "search.data.piecewise",
    "Preprocessor": "search.data.columns",
    "Scaling": "search.data.scaling",
}

__all__ = [
    "DATASETS",
    "Data",
    "Feature",
    "PiecewiseLinear",
    "Preprocessor",
    "Scaling",
    "dataset_name",
    "is_path",
    "load",
    "load_folds",
    "resolve_dataset",
    "resolve_paths",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'search.data' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
