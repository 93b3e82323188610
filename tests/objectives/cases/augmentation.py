"""Augmentation against plain loops over pixels, on 1 x 6 x 5 images."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

import torch
from reference import Draws, stored
from support.contract import Case
from torch import Tensor

HEIGHT, WIDTH = 6, 5


def plain(values: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
    def inputs(features: Tensor) -> Tensor:
        pixels = (features * 4 + 8) / 16
        drawn = draws.uniform("augmentation", "geometry", 6, len(features))
        noise = draws.normal("augmentation", "noise", len(features), stored(HEIGHT * WIDTH))
        made = []
        for image, (down, right, smaller, top, left, mirror), noisy in zip(
            pixels, drawn.T.tolist(), noise, strict=True
        ):
            picture = image.view(HEIGHT, WIDTH)
            share = 1 - values["crop"] * smaller
            side = [max(round(share * length), 1) for length in (HEIGHT, WIDTH)]
            first = [
                floor(place * (length - one + 1))
                for place, length, one in zip((top, left), (HEIGHT, WIDTH), side, strict=True)
            ]
            moved = [
                round((2 * draw - 1) * values["shift"] * length) for draw, length in ((down, HEIGHT), (right, WIDTH))
            ]
            cropped = picture[first[0] : first[0] + side[0], first[1] : first[1] + side[1]]
            out = torch.zeros_like(picture)
            for i in range(HEIGHT):
                for j in range(WIDTH):
                    row, column = i - moved[0], j - moved[1]
                    if 0 <= row < HEIGHT and 0 <= column < WIDTH:
                        column = WIDTH - 1 - column if mirror < values["flip"] else column
                        out[i, j] = cropped[(2 * row + 1) * side[0] // (2 * HEIGHT)][
                            (2 * column + 1) * side[1] // (2 * WIDTH)
                        ]
            made.append((out.flatten() + values["noise"] * noisy[: HEIGHT * WIDTH]).clamp(0, 1))
        return (torch.stack(made) * 16 - 8) / 4

    return {"inputs": inputs}


CASES = [
    Case(
        "all at once",
        data="images",
        plain=plain,
        epochs=2,
        slots=[
            {"shift": 0.4, "flip": 0.5, "crop": 0.6, "noise": 0.1},
            {"shift": 0.2, "flip": 0.0, "crop": 0.0, "noise": 0.0},
            {"shift": 0.0, "flip": 0.9, "crop": 0.3, "noise": 0.3},
        ],
    ),
]
