"""Random pixels of CIFAR-10's shape, for benchmarks that run where the data set cannot be fetched."""

from __future__ import annotations

import torch

from search.data import Data, Scaling


def random_pixels(train: int = 50_000, test: int = 10_000) -> Data:
    """Return pixels of CIFAR-10's shape in [0, 1], with a faint pattern for each class; the test rows validate."""
    features, generator = 3072, torch.Generator().manual_seed(0)
    patterns = torch.rand(10, features, generator=generator)
    parts = {}
    for part, rows in (("train", train), ("val", test)):
        y = torch.randint(0, 10, (rows,), generator=generator)
        x = torch.rand(rows, features, generator=generator)
        parts[part] = x.mul_(0.9).add_(0.1 * patterns[y]), y
    (x_train, y_train), (x_val, y_val) = parts["train"], parts["val"]
    return Data(
        name="random-cifar10",
        task="classification",
        x_train=x_train,
        y_train=y_train,
        x_val=x_val,
        y_val=y_val,
        x_test=x_val,
        y_test=y_val,
        outputs=10,
        inputs=Scaling(torch.zeros(features), torch.full((features,), 255.0)),
        targets=None,
        image_shape=(3, 32, 32),
        classes=tuple(map(str, range(10))),
        pixel_max=255,
    )
