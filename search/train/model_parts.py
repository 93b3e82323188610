"""The parts of a model file: the networks it holds, and what was done to them after the search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from search.data.nonlinear import Nonlinear, NormalScores, SmoothClip
from search.data.piecewise import PiecewiseLinear
from search.errors import RequestError
from search.storage.fields import Part
from search.technique.layout import MOST_BRANCHES

SCORES = "validation.scores"
"""The tensor with the scores of the validation rows, ``rows x outputs``; ``rows x 1`` in classification."""
QUANTILES = "inputs.quantiles"
"""The tensor with the quantiles of the inputs, ``quantiles x features``, if they are normal scores."""
EDGES = "inputs.edges"
"""The tensor with the edges of the bins of the inputs, ``features x edges``, if they are encoded."""
Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=2)]

Branches = Annotated[
    tuple[Annotated[int, Field(ge=1, le=MOST_BRANCHES)], ...],
    Field(
        description="the number of branches of each hidden layer, whose activations are the mean of theirs; none are "
        "given where each layer has one"
    ),
]
Residual = Annotated[
    tuple[Annotated[int, Field(ge=2)], ...],
    Field(
        description="the numbers, from 1, of the hidden layers that are residual blocks: what entered the layer is "
        "added to its activations"
    ),
]

Waves = Annotated[
    int, Field(ge=0, description="the number of waves of each input, which enter the first layer after all inputs")
]


class Member(Part):
    """The description of one network of an ensemble."""

    widths: Widths = Field(description="the widths of inputs, hidden layers and outputs")
    activation: str = Field(description="the activation after every layer but the last")
    count: int = Field(ge=1, description="how often it was chosen; its weight is its share of all choices")
    trial: int | None = None
    replicate: int = Field(default=0, description="the replicate of the trial")
    val_loss: float | None = None
    refit_epochs: int | None = Field(default=None, description="as `Meta.refit_epochs`")
    residual: Residual = ()
    branches: Branches = ()
    waves: Waves = 0

    @property
    def features(self) -> int:
        """The number of inputs, without their waves."""
        return self.widths[0] // (1 + self.waves)


class NonlinearInputs(Part):
    """The map of the inputs that follows shift and scale (`search.data.nonlinear`)."""

    map: Literal["smooth_clip", "normal_scores"]
    quantiles: int = Field(default=0, ge=0, description="the number of quantiles of normal scores; 0 of a smooth clip")

    @model_validator(mode="after")
    def _normal_scores_have_quantiles(self) -> NonlinearInputs:
        if (self.map == "normal_scores") != (self.quantiles > 1):
            raise ValueError(f"quantiles should be at least 2 of normal scores, else 0, got {self.quantiles}")
        return self

    @classmethod
    def describe(cls, nonlinear: Nonlinear) -> NonlinearInputs:
        """Return the description of a map."""
        if isinstance(nonlinear, NormalScores):
            return cls(map="normal_scores", quantiles=len(nonlinear.quantiles))
        return cls(map="smooth_clip")

    def of(self, tensors: Mapping[str, Tensor]) -> Nonlinear:
        """Return the map with the tensors of a model file."""
        return SmoothClip() if self.map == "smooth_clip" else NormalScores(tensors[QUANTILES])


class EncodedInputs(Part):
    """The piecewise-linear encoding of the inputs that follows their scaling (`search.data.piecewise`)."""

    features: int = Field(ge=1, description="the number of inputs before the encoding")
    edges: int = Field(ge=2, description="the number of edges of an input, equal ones at the end among them")

    @classmethod
    def describe(cls, encoding: PiecewiseLinear) -> EncodedInputs:
        """Return the description of an encoding."""
        features, edges = encoding.edges.shape
        return cls(features=features, edges=edges)

    def of(self, tensors: Mapping[str, Tensor], width: int) -> PiecewiseLinear:
        """Return the encoding with the tensors of a model file.

        Args:
            tensors: the tensors.
            width: the number of inputs that the networks take.

        Raises:
            RequestError: the edges decrease, or are those of another number of bins.
        """
        encoding = PiecewiseLinear(tensors[EDGES])
        rise = encoding.edges.diff(dim=1)
        if bool((rise < 0).any()) or not bool((rise > 0).any(1).all()):
            raise RequestError(
                f"its tensor {EDGES} should hold edges that do not decrease, at least two different ones"
            )
        if encoding.width != width:
            raise RequestError(f"its tensor {EDGES} should hold the edges of {width} bins, but has {encoding.width}")
        return encoding


class Calibration(Part):
    """The temperature of the probabilities, and what it changed on the validation rows, on which it was fitted."""

    temperature: float = Field(gt=0, description="what divides the logits; it is part of the last layers")
    rows: int = Field(description="the number of validation rows")
    error_before: float = Field(description="the expected calibration error without the temperature")
    error: float = Field(description="the expected calibration error with the temperature")
    loss_before: float = Field(description="the validation loss without the temperature")
    loss: float = Field(description="the validation loss with the temperature")


class Threshold(Part):
    """The probability above which a row is of the second of two classes, and what it changed on the validation rows."""

    value: float = Field(gt=0, lt=1, description="the probability of the second class above which a row is of it")
    metric: str = Field(description="the metric of the validation rows for which it was chosen")
    rows: int = Field(description="the number of validation rows")
    score: float = Field(description="the metric with the threshold")
    score_at_half: float = Field(description="the metric with 0.5, where the more probable class is taken")
    second: int = Field(description="the number of validation rows that are taken for the second class")
    before_refit: bool = Field(default=False, description="whether the network was refitted afterwards")

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return the numbers of the decided classes ``(rows,)``, of probabilities ``rows x 2``."""
        return (probabilities[:, 1].double() > self.value).long()


def shape_text(shape: tuple[int, ...] | None) -> str:
    """Return the words for the shape of a tensor, of which None is missing."""
    return "missing" if shape is None else " x ".join(map(str, shape))


def validate_numbers(name: str, tensor: Tensor, nonlinear: NonlinearInputs | None) -> None:
    """Refuse a tensor whose numbers cannot be those of a model file.

    Args:
        name: the name of the tensor.
        tensor: the tensor.
        nonlinear: the map that follows the scaling of the inputs. With one, an infinite scale makes an input 0.

    Raises:
        RequestError: a number is not finite, a scale is 0, or quantiles decrease.
    """
    usable = ~tensor.isnan() if name == "inputs.scale" and nonlinear is not None else tensor.isfinite()
    if tensor.dtype != torch.float32 or not usable.all():
        raise RequestError(f"its tensor {name} should hold finite float32 numbers")
    if name.endswith(".scale") and not tensor.all():
        raise RequestError(f"its tensor {name} contains 0, by which inputs cannot be divided")
    if name == QUANTILES and (tensor.diff(dim=0) < 0).any():
        raise RequestError(f"its tensor {name} should hold quantiles that do not decrease")
