"""Data sets as tensors: read, split into training, validation and test rows, and scaled by the training rows.

    tables | synthetic | vision | files  --Source-->  split: Parts | folds  -->  scaled by training rows: Data

Importing this package imports only torch and numpy. The data sets of scikit-learn are read from its files without
importing it. torchvision is imported when one of its data sets is asked for, and pandas, scikit-learn or Pillow when a
user's file needs it.
"""

from search.data.catalogue import DATASETS, dataset_name, is_path, load, load_folds, resolve_dataset, resolve_paths
from search.data.columns import Preprocessor
from search.data.dataset import Data
from search.data.features import Feature
from search.data.scaling import Scaling

__all__ = [
    "DATASETS",
    "Data",
    "Feature",
    "Preprocessor",
    "Scaling",
    "dataset_name",
    "is_path",
    "load",
    "load_folds",
    "resolve_dataset",
    "resolve_paths",
]
