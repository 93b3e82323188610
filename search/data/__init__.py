"""Datasets as tensors: read, split into training, validation and test rows, scaled by what training rows say.

    tables | synthetic | vision | files  --Raw-->  catalogue.load: scaled by training rows  --Data-->  search/train

Importing this package imports torch and numpy only; scikit-learn's tables are read from their files, and torchvision is
imported when one of its datasets is asked for; pandas, scikit-learn or Pillow when a file of the user's needs it.
"""

from search.data.catalogue import DATASETS, dataset_name, is_path, load, resolve_dataset
from search.data.dataset import Data, Feature
from search.data.scaling import Scaling

__all__ = ["DATASETS", "Data", "Feature", "Scaling", "dataset_name", "is_path", "load", "resolve_dataset"]
