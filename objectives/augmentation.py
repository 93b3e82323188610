"""Augmentation crops, flips and shifts training images at random and adds noise, anew for each example and step.

Every output pixel (i, j) is a copy of one input pixel. The crop comes first, then the flip, then the shift. Traced
backwards, from the output to the input, this is

``i' = i - rows shifted`` (outside the image: black),  ``j'`` likewise, and ``width - 1 - j'`` if flipped,
``row = first + floor((2 i' + 1) side / (2 height))``, the pixel under the centre of i' in a crop of `side` rows,

and the column likewise. Then ``pixel <- clamp(pixel + noise * n, 0, 1)``. Validation and test images are not changed.

Shapes: inputs ``groups x batch x features`` become ``slots x batch x features``.

Hyperparameters searched: `shift`, `crop` and `noise`; `flip` is 0 unless a study sets or searches it. They determine
what is drawn for each example, with the same draws for all slots of a replicate:

- `shift`: rows uniform in ``+-shift * height`` and columns uniform in ``+-shift * width``, rounded;
- `flip`: the probability of a horizontal flip;
- `crop`: the side of the crop is uniform in ``[1 - crop, 1]`` of height and width, its place is uniform;
- `noise`: the standard deviation of the noise; n is standard normal for each pixel.

So examples are monotone in these strengths: twice the `shift` moves an example twice as far in the same direction.

If pixels are standardised one by one, the technique scales them to [0, 1] instead: pixels at the edge are almost always
black, so that a bright pixel moved there would be hundreds of standard deviations from the mean.

Source: Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (NIPS 2012)
for crops and flips; the transforms are those of `torchvision.transforms.v2`: RandomResizedCrop (``ratio=(1, 1)``,
nearest-exact), RandomHorizontalFlip, RandomAffine (``translate``) and GaussianNoise, which draw once for all examples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from search.technique import Numeric, StudyContext, Technique, Values

if TYPE_CHECKING:
    from search.data import Data


def check(context: StudyContext) -> None:
    """Refuse data that are not images: only pixels can be shifted, flipped and cropped."""
    data = context.data
    if data.image_shape is None or data.pixel_max is None:
        raise ValueError(f"augmentation needs images; {data.name} has {data.features} features that are not pixels")


def prepare(data: Data, _context: StudyContext) -> Data:
    """Return the data with one scale for all pixels of a channel, so that a pixel means the same in any place."""
    assert data.image_shape is not None
    assert data.pixel_max is not None
    by_channel = (part.view(data.image_shape[0], -1) for part in (data.inputs.shift, data.inputs.scale))
    if all(torch.equal(part, part[:, :1].expand_as(part)) for part in by_channel):
        return data
    old, shift = data.inputs, torch.zeros_like(data.inputs.shift)
    unit = replace(old, shift=shift, scale=torch.full_like(shift, data.pixel_max))
    x_train, x_val, x_test = (unit.apply(old.invert(x)) for x in (data.x_train, data.x_val, data.x_test))
    return replace(data, inputs=unit, x_train=x_train, x_val=x_val, x_test=x_test)


def augment(x: Tensor, values: Values) -> Tensor:
    """Return augmented pixels, ``slots x batch x padded features``; the padding stays 0.

    Args:
        x: the pixels, ``groups or slots x batch x padded features``.
        values: the values of the technique.
    """
    assert values.inputs.image_shape is not None
    channels, height, width = values.inputs.image_shape
    features = channels * height * width
    groups, batch, stored = x.shape
    # A black row and column after each image are the source of what is shifted in.
    images = F.pad(x[..., :features].reshape(groups, batch, channels, height, width), (0, 1, 0, 1)).flatten(3)
    down, right, smaller, top, left, mirror = values.per_slot(values.uniform("geometry", 6, batch)).unbind(1)
    shift, flip, crop = (values[name][:, None] for name in ("shift", "flip", "crop"))
    share = 1 - crop * smaller
    rows = _source((2 * down - 1) * shift, share, top, height)
    columns = _source((2 * right - 1) * shift, share, left, width, mirror < flip)
    index = ((width + 1) * rows[..., :, None] + columns[..., None, :]).view(len(rows), batch, 1, height * width)
    moved = values.per_slot(images).gather(3, index.expand(-1, -1, channels, -1)).flatten(2)
    noise = values.normal("noise", batch, stored)
    if stored > features:
        moved = F.pad(moved, (0, stored - features))
        noise[..., features:].zero_()
    # Slots without noise take this step too, because what happens to a slot must not depend on its neighbours.
    return torch.addcmul(moved, values.per_slot(noise), values["noise"][:, None, None]).clamp_(0, 1)


def _source(shift: Tensor, share: Tensor, place: Tensor, length: int, mirrored: Tensor | None = None) -> Tensor:
    """Return the input row (or column) of each output row, ``slots x batch x length``; `length` if there is none.

    Args:
        shift: the shift as a share of the image, ``slots x batch``.
        share: the side of the crop as a share of the image, ``slots x batch``.
        place: the draws of the crop's place, ``slots x batch``.
        length: the rows (or columns) of the image.
        mirrored: whether each example is flipped, ``slots x batch``; None for no flip.
    """
    side = (share * length).round().clamp_(min=1)
    first = (place * (length - side + 1)).floor()
    # Integers from here on: a quotient of floats may fall just short of a whole number.
    at = torch.arange(length, device=share.device) - (shift * length).round().long()[..., None]
    outside = (at < 0) | (at >= length)
    if mirrored is not None:
        at = torch.where(mirrored[..., None], length - 1 - at, at)
    within = torch.div((2 * at + 1) * side.long()[..., None], 2 * length, rounding_mode="floor")
    return (within + first.long()[..., None]).masked_fill_(outside, length)


technique = Technique(
    name="augmentation",
    hyperparameters={
        "shift": Numeric(low=0.0, high=0.25, minimum=0.0, below=1.0, neutral=0.0, stronger="up"),
        # Searched only if a study asks for it: a mirrored digit is not a digit.
        "flip": Numeric(minimum=0.0, maximum=1.0, neutral=0.0, stronger="up"),
        "crop": Numeric(low=0.0, high=0.4, minimum=0.0, below=1.0, neutral=0.0, stronger="up"),
        "noise": Numeric(low=0.0, high=0.3, minimum=0.0, neutral=0.0, stronger="up"),
    },
    check=check,
    prepare=prepare,
    input=augment,
)
