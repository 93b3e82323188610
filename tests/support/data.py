"""Small data sets, made when a test needs them."""

from __future__ import annotations

from pathlib import Path

import torch

from search.data import Data, Scaling

HOMES = """town,rooms,price,garden
A,2,1.5,True
B,,2.5,False
A,3,3.5,True
,4,1.25,
B,1,3,False
C,2,2,True
A,3,3,False
B,5,5.5,True
"""


def random_data(rows: int, features: int, outputs: int, *, task: str = "classification", seed: int = 0) -> Data:
    """Return random features and targets that depend on them; 40 rows are for validation, 20 for the test."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows + 60, features, generator=generator)
    truth = x @ torch.randn(features, outputs, generator=generator)
    y = truth.argmax(1) if task == "classification" else truth / truth.std(0)
    scaling = Scaling(torch.zeros(features), torch.ones(features))
    return Data(
        name="random",
        task="classification" if task == "classification" else "regression",
        x_train=x[:rows],
        y_train=y[:rows],
        x_val=x[rows : rows + 40],
        y_val=y[rows : rows + 40],
        x_test=x[rows + 40 :],
        y_test=y[rows + 40 :],
        outputs=outputs,
        inputs=scaling,
        targets=None if task == "classification" else Scaling(torch.zeros(outputs), torch.arange(1.0, outputs + 1)),
        image_shape=None,
        classes=tuple(map(str, range(outputs))) if task == "classification" else (),
        pixel_max=None,
    )


def random_images(rows: int, shape: tuple[int, int, int] = (1, 6, 5), *, seed: int = 0) -> Data:
    """Return random images of two classes that differ in brightness; pixels, 0 to 16, share one mean and SD."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (rows + 60,), generator=generator)
    features = shape[0] * shape[1] * shape[2]
    raw = torch.randint(0, 15, (rows + 60, features), generator=generator).float() + 2.0 * y[:, None]
    scaling = Scaling(torch.full((features,), 8.0), torch.full((features,), 4.0))
    x = scaling.apply(raw)
    return Data(
        name="images",
        task="classification",
        x_train=x[:rows],
        y_train=y[:rows],
        x_val=x[rows : rows + 40],
        y_val=y[rows : rows + 40],
        x_test=x[rows + 40 :],
        y_test=y[rows + 40 :],
        outputs=2,
        inputs=scaling,
        targets=None,
        image_shape=shape,
        pixel_max=16.0,
        classes=("dark", "bright"),
    )


def table(text: str, name: str = "homes.csv") -> str:
    """Write a table into the working folder, and return the file's name."""
    Path(name).write_text(text)
    return name
