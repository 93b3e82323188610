"""Skip connections add to a hidden layer's activations what entered the layer, so that it learns a difference.

``h_l <- a(h_{l-1} W_l + b_l) + h_{l-1}``  for every hidden layer but the first, after the other techniques have changed
the activations (dropout, batch normalisation ...). All hidden layers must have the same width.

Shapes: activations ``slots x batch x width`` to the same. Hyperparameters searched: `skip`, on or off.

Source: He et al., "Deep residual learning for image recognition" (CVPR 2016), with blocks of one layer; for tables
Kadra et al., "Well-tuned simple nets excel on tabular datasets" (NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping

from search.technique import Structural, StudyContext, Technique, Value


def check(context: StudyContext) -> None:
    """Refuse networks without two hidden layers, and hidden layers of unequal width."""
    for hidden in map(str, context.possible("hidden")):
        widths = hidden.split("x")
        if len(widths) < 2:
            raise ValueError(f"it needs at least two hidden layers, such as hidden 64x64; got hidden {hidden}")
        if len(set(widths)) > 1:
            raise ValueError(f"hidden layers must have the same width, such as 64x64; got hidden {hidden}")


def residual(_number: int, structure: Mapping[str, Value]) -> bool:
    """Return whether what entered a hidden layer, from the second, is added to its activations."""
    return bool(structure["skip"])


technique = Technique(
    name="skip",
    hyperparameters={"skip": Structural(default=True, choices=(False, True), neutral=False, searched=True)},
    check=check,
    residual=residual,
)
