"""Numbers, values and names of trials as tables, sentences and JSON give them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: object) -> str:
    """A cell of a table: four digits of a number, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """A value as JSON can hold it: of a number that JSON has no word for, the text, "inf" or "nan"."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def trial_name(number: int, params: Mapping[str, Any], row: str = "") -> str:
    """The name of a trial's run, after its row in a study that lists its settings, else after its hyperparameters.

    >>> trial_name(12, {"l2": 0.00031, "optimizer": "sgd"})
    'trial-12 l2=3.1e-4 optimizer=sgd'
    """
    setting = [row] if row else [f"{name}={_short(value)}" for name, value in params.items()]
    return " ".join([f"trial-{number}", *setting])[:200]


def _short(value: Any) -> str:
    if not isinstance(value, float) or not math.isfinite(value) or value == 0:
        return str(value)
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
