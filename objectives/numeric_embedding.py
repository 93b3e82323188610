"""A piecewise-linear encoding of numbers gives the network a number for each bin of a feature, in place of the feature.

``e_t = (x - b_{t-1}) / (b_t - b_{t-1})``, at least 0 except in the first bin and at most 1 except in the last one

The edges b_0 < ... < b_T of a feature's T bins are its quantiles at t / T in the training rows, after the scaling.
Equal ones count once, so a feature of few different values has fewer bins, and one of two values, such as 0 and 1,
stays as it is. Techniques that change inputs, such as noise, change the encoded ones.

Shapes: inputs ``rows x features`` become ``rows x bins``, the bins of one feature after the other. Hyperparameters
searched: none by default; the recipe searches the number of bins T, named `bins`.

Source: Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning" (NeurIPS 2022),
section 3.2, with the quantiles of its section 3.2.1; `rtdl_num_embeddings.compute_bins` and `PiecewiseLinearEncoding`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from search.data import Data
from search.technique import Structural, StudyContext, Technique, Value

# In a bin that is narrower, a quotient is noise or infinite in float32.
_LEAST_WIDTH = torch.finfo(torch.float32).tiny


def check(context: StudyContext) -> None:
    """Refuse a study that starts from a trained network, whose first layer has other inputs."""
    if "fine_tune" in context.techniques:
        raise ValueError("it changes the network's inputs, so fine_tune cannot start from another one: leave one out")


def edges(x: Tensor, structure: Mapping[str, Value]) -> list[Tensor]:
    """Return the edges of each feature's bins, of training rows ``rows x features``: its quantiles, equal ones once."""
    shares = np.linspace(0, 1, int(structure["bins"]) + 1)
    return [_different(np.quantile(feature.double().numpy(), shares)) for feature in x.T]


def _different(quantiles: np.ndarray) -> Tensor:
    kept: list[float] = []
    for edge in quantiles.astype(np.float32).tolist():
        if not kept or edge - kept[-1] >= _LEAST_WIDTH:
            kept.append(edge)
    return torch.tensor(kept, dtype=torch.float32)


def prepare(data: Data, context: StudyContext) -> Data:
    """Return the data with a note on how many of their features are encoded with the most bins of the study."""
    most = max(int(bins) for bins in context.possible("bins"))
    encoded = sum(len(one) > 2 for one in edges(data.x_train, {"bins": most}))
    rest = f"; the other {data.features - encoded:,} have at most two different quantiles and stay as they are"
    what = f"{encoded:,} of {data.features:,} inputs are encoded in at most {most} bins between their quantiles"
    note = f"numeric_embedding: {what}{rest if encoded < data.features else ''}"
    return replace(data, notes=(*data.notes, note))


technique = Technique(
    name="numeric_embedding",
    hyperparameters={"bins": Structural(default=16, minimum=0, maximum=1000, neutral=0)},
    check=check,
    prepare=prepare,
    edges=edges,
)
