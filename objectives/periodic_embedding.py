"""A periodic embedding gives the network waves of each feature beside it, with trained frequencies and phases.

``x_j -> x_j, cos(2 pi (f_jk x_j + p_jk))``  for k = 1..K, where at first ``f_jk ~ N(0, sigma^2)`` and p_jk is uniform
in [0, 1)

A network of a few layers learns functions of high frequency slowly; from waves it is a linear function. Of the layers
with which the sources follow the waves of a feature, here is none.

Shapes: features ``slots x batch x features`` become ``slots x batch x features (1 + K)``; frequencies and phases are
``slots x features K``. Hyperparameters searched: sigma, named `wave_sigma`; the recipe also searches the number of
waves K, named `waves`.

Source: Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning" (NeurIPS 2022),
section 3.3; with phases, cosines alone and the feature itself as in Holzmüller, Grinsztajn and Steinwart, "Better by
default: strong pre-tuned MLPs and boosted trees on tabular data" (NeurIPS 2024), where sigma is 0.1 by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from search.technique import Numeric, Structural, StudyContext, Technique, Value, Values

if TYPE_CHECKING:
    from search.technique import Field

COUNTS = (0, 4, 8, 16, 32)


def check(context: StudyContext) -> None:
    """Refuse a study that starts from a trained network, whose first layer has other inputs."""
    if "fine_tune" in context.techniques:
        raise ValueError("it changes the network's inputs, so fine_tune cannot start from another one: leave one out")


def waves(structure: Mapping[str, Value]) -> int:
    """Return the number of waves of each feature."""
    return int(structure["waves"])


def init(current: Tensor, unit: Tensor, field: Field, values: Values) -> Tensor:
    """Return the frequencies, normal with SD `wave_sigma`, and the phases, ``slots x features * K``; weights stay."""
    if field.kind == "periodic_embedding.frequency":
        return values.quantile(unit) * values["wave_sigma"][:, None]
    return unit if field.kind == "periodic_embedding.phase" else current


technique = Technique(
    name="periodic_embedding",
    hyperparameters={
        "waves": Structural(default=8, choices=COUNTS, neutral=0),
        "wave_sigma": Numeric(default=0.1, low=0.01, high=10.0, log=True, above=0.0, when={"waves": COUNTS[1:]}),
    },
    check=check,
    waves=waves,
    init=init,
)
