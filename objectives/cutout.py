"""Cutout sets a part of a training example's features to 0, in some of the examples of each minibatch.

With the probability `cutout`, each feature of an example is set to 0 with the probability `cutout_patch`, anew for each
example and step. A feature that is standardised is 0 at its mean; a pixel is black. Unlike input dropout, most examples
may stay whole, and the features that are left are not scaled up. Validation and test examples are not changed. All
trials of a replicate share the draws.

Shapes: inputs ``groups or slots x batch x features`` to ``slots x batch x features``. Hyperparameters searched: both.

Source: DeVries and Taylor, "Improved regularization of convolutional neural networks with cutout" (2017), for images;
for rows of a table, as here, Kadra et al., "Well-tuned simple nets excel on tabular datasets" (NeurIPS 2021), whose
ranges are those searched.
"""

from __future__ import annotations

from torch import Tensor

from search.technique import Numeric, Technique, Values


def cut_out(x: Tensor, values: Values) -> Tensor:
    """Return inputs without the features that are cut out, ``slots x batch x padded features``."""
    chosen = values.uniform("rows", x.shape[1], 1) < values["cutout"][:, None, None]
    cut = values.uniform("features", *x.shape[1:]) < values["cutout_patch"][:, None, None]
    return values.per_slot(x).masked_fill(chosen & cut, 0.0)


technique = Technique(
    name="cutout",
    hyperparameters={
        "cutout": Numeric(low=0.0, high=1.0, minimum=0.0, maximum=1.0, neutral=0.0, stronger="up"),
        "cutout_patch": Numeric(default=0.5, low=0.0, high=1.0, minimum=0.0, maximum=1.0, stronger="up"),
    },
    input=cut_out,
)
