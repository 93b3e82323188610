"""Datasets as tensors: read, split into training, validation and test rows, scaled by what training rows say.

    tables | synthetic | vision  --Raw-->  catalogue.load: scaling fitted on the training rows  --Data-->  search/train

Importing this package imports torch and numpy only; scikit-learn's tables are read from their files, and torchvision is
imported when one of its datasets is asked for.
"""

from search.data.catalogue import DATASETS, load
from search.data.dataset import Data
from search.data.scaling import Scaling

__all__ = ["DATASETS", "Data", "Scaling", "load"]
