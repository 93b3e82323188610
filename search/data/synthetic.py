"""Two synthetic regressions with noise in both coordinates (errors in variables).

    line        y = slope * t + intercept              polynomial   y = c[0] * t^d + ... + c[d]
    t ~ Uniform[-range, range]      x_seen = t + sigma * N(0, 1)      y_seen = y + sigma * N(0, 1)

Because x is noisy too, the best straight line is flatter than `slope`, by the factor var(t) / (var(t) + sigma^2) with
var(t) = range^2 / 3 (attenuation; W. Fuller, Measurement Error Models, 1987, section 1.1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search.data.inputs import Numbers
from search.data.source import Source
from search.errors import RequestError, unknown

# None for n_val and n_test means as many rows as the training set has.
_COMMON: dict[str, Any] = {"n": 100, "n_val": None, "n_test": None, "sigma": 2.0, "range": 50.0}
OPTIONS: dict[str, dict[str, Any]] = {
    "line": {"slope": 1.0, "intercept": 0.0, **_COMMON},
    "polynomial": {"coefficients": (1.0, 0.0, 0.0), **_COMMON},
}
_MOST_ROWS = 10_000_000


def draw(name: str, seed: int, options: Mapping[str, Any]) -> Source:
    """Draw `n` training, `n_val` validation and `n_test` test rows, independently of one another.

    Each part has its own random stream, so its rows do not depend on the sizes of the others.

    Raises:
        RequestError: an option is unknown, or a value is out of range.
    """
    for option in options:
        if option not in OPTIONS[name]:
            raise unknown(f"option of dataset {name}", option, OPTIONS[name])
    chosen = {**OPTIONS[name], **options}
    rows = _count(name, "n", chosen["n"])
    sizes = [rows] + [
        rows if chosen[part] is None else _count(name, part, chosen[part]) for part in ("n_val", "n_test")
    ]
    sigma = _number(name, "sigma", chosen["sigma"])
    reach = _number(name, "range", chosen["range"])
    if sigma < 0:
        raise RequestError(f"dataset {name}: sigma must be >= 0, got {sigma:g}")
    if reach <= 0:
        raise RequestError(f"dataset {name}: range must be > 0, got {reach:g}")
    if name == "line":
        coefficients = [_number(name, option, chosen[option]) for option in ("slope", "intercept")]
    else:
        coefficients = _coefficients(name, chosen["coefficients"])
    parts = [
        _part(name, stream, size, coefficients, sigma, reach)
        for stream, size in zip(np.random.default_rng(seed).spawn(3), sizes, strict=True)
    ]
    x, y = (torch.cat(one) for one in zip(*parts, strict=True))
    _, val, test = torch.split(torch.arange(len(x)), sizes)
    return Source(f"dataset {name}", "regression", y, Numbers(x), val=val, test=test, official=True)


def _part(
    name: str, rng: np.random.Generator, rows: int, coefficients: list[float], sigma: float, reach: float
) -> tuple[Tensor, Tensor]:
    t = rng.uniform(-reach, reach, rows)
    y = np.zeros(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        for coefficient in coefficients:
            y = y * t + coefficient
        x = (t + sigma * rng.standard_normal(rows)).astype(np.float32)
        y = (y + sigma * rng.standard_normal(rows)).astype(np.float32)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise RequestError(f"dataset {name}: these options give values too large for float32 (3.4e38)")
    return torch.from_numpy(x[:, None]), torch.from_numpy(y[:, None])


def _count(name: str, option: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= _MOST_ROWS:
        raise RequestError(f"dataset {name}: {option} must be a whole number from 2 to {_MOST_ROWS}, got {value!r}")
    return value


def _number(name: str, option: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise RequestError(f"dataset {name}: {option} must be a finite number, got {value!r}")
    return float(value)


def _coefficients(name: str, value: Any) -> list[float]:
    if not isinstance(value, list | tuple) or not value:
        raise RequestError(
            f"dataset {name}: coefficients must be a list of numbers, highest power first, got {value!r}"
        )
    return [_number(name, "each of coefficients", coefficient) for coefficient in value]
