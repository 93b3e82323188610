"""The parts of a data set as tensors, scaled by the training rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from search.data import scaling
from search.data.dataset import Data, add_tensors
from search.data.inputs import Inputs
from search.data.scaling import Scaling
from search.data.source import Source
from search.data.split import Parts
from search.errors import RequestError


def prepared(name: str, source: Source, fitted: Inputs, parts: Parts, scales: Sequence[str]) -> Data:
    """Return the parts of a data set in the first of these scales; of several, `Data.scales` has them all.

    Args:
        name: the name of the data set in a study.
        source: the data set.
        fitted: its inputs, fitted on the training rows.
        parts: the row numbers of the parts.
        scales: the names of the scalings.

    Raises:
        RequestError: all rows of a part weigh nothing.
    """
    rows = (parts.train, parts.val, parts.test)
    raw = [fitted.take(part) for part in rows]
    digest = hashlib.sha256()
    # Pixels are always scaled by an affine map, which can be inverted.
    if source.pixel_max is None:
        add_tensors(digest, zip(("x_train", "x_val", "x_test"), raw, strict=True))
    inputs = [scaling.fit(scale, raw[0], source.pixel_max, source.channels) for scale in scales]
    said = [note for one in inputs for note in scaling.notes(source.place, one, len(raw[0]))]
    targets: Scaling | None = None
    y = [source.y[part] for part in rows]
    w_train, w_val, w_test = _weights(source, rows)
    outputs = len(source.classes) or source.y.shape[1]
    if source.task == "regression":
        targets = scaling.fit("standard", y[0])
        y = [targets.apply(part) for part in y]
    first, *others = source.notes or ("",)
    summary = (f"{first}; {fitted.summary}" if fitted.summary else first,) if first else ()

    def scaled(by: Scaling) -> Data:
        x_train, x_val, x_test = map(by.apply, raw)
        return Data(
            name=name,
            task=source.task,
            x_train=x_train,
            y_train=y[0],
            x_val=x_val,
            y_val=y[1],
            x_test=x_test,
            y_test=y[2],
            outputs=outputs,
            inputs=by,
            targets=targets,
            image_shape=source.image_shape,
            classes=source.classes,
            pixel_max=None if source.pixel_max is None else float(source.pixel_max),
            target_names=source.target_names,
            preprocessor=fitted.preprocessor,
            notes=(*summary, *fitted.notes, *others, *said, *parts.notes),
            w_train=w_train,
            w_val=w_val,
            w_test=w_test,
            raw="" if source.pixel_max is not None else digest.hexdigest(),
        )

    by_scale = {scale: scaled(by) for scale, by in zip(scales, inputs, strict=True)}
    data = by_scale[scales[0]]
    return data if len(by_scale) == 1 else replace(data, scales=by_scale)


def _weights(source: Source, rows: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the weights of the parts, divided by the mean weight of the training rows; None if there are no weights.

    Raises:
        RequestError: all rows of a part weigh nothing.
    """
    if source.weights is None:
        return [None] * len(rows)
    weights = [torch.from_numpy(source.weights)[part] for part in rows]
    for name, part in zip(("training", "validation", "test"), weights, strict=True):
        if len(part) and not part.any():
            raise RequestError(f"{source.place}: the weights of all {name} rows are 0: there is nothing to measure")
    return [(part / weights[0].mean()).float() for part in weights]
