"""Numbers, values and names of trials as text for tables, sentences and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

SWITCH = "use "
"""What the name of a switch begins with: ``use l2`` says whether a trial draws l2 from its range, or l2 is off."""
OFF = "off"


def number(value: object) -> str:
    """Return the text of a table's cell: a float with four digits, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def format_figures(*values: float, digits: int = 1) -> list[str]:
    """Return numbers as text, with as many decimals as the smallest of them takes.

    So no bound of an interval is rounded to 0, which would read as another verdict.
    """
    sizes = [abs(value) for value in values if value != 0 and math.isfinite(value)]
    places = max(1, digits - 1 - math.floor(math.log10(min(sizes)))) if sizes else 1
    return [f"{value:.{places}f}" if places <= 6 else f"{value:.{digits}g}" for value in values]


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: a float that is not finite becomes the text "inf", "-inf" or "nan"."""
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def trial_name(number: int, params: Mapping[str, Any], setting: str = "") -> str:
    """Return the name of a trial's run: its number, and its setting's name if it has one or else its hyperparameters.

    >>> trial_name(12, {"l2": 0.00031, "optimizer": "sgd"})
    'trial-12 l2=3.1e-4 optimizer=sgd'
    """
    return " ".join(filter(None, [f"trial-{number}", setting or assignments(params)]))[:200]


def assignments(params: Mapping[str, Any]) -> str:
    """Return hyperparameters with their values as text, ``l2=3.1e-4 optimizer=sgd``."""
    return " ".join(f"{name}={short(value)}" for name, value in merged(params).items())


def enumerated(words: Sequence[str]) -> str:
    """Join words as ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def merged(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return hyperparameters without switches: one that is switched off has the value ``off``.

    >>> merged({"use l2": False, "use dropout": True, "dropout": 0.5})
    {'l2': 'off', 'dropout': 0.5}
    """
    off = {name: name.removeprefix(SWITCH) for name, value in params.items() if name.startswith(SWITCH) and not value}
    shown = {off.get(name, name): OFF if name in off else value for name, value in params.items()}
    return {name: value for name, value in shown.items() if not name.startswith(SWITCH)}


def short(value: Any) -> str:
    """Return a value as it stands beside a name: a float with three digits, or in short scientific notation."""
    if not isinstance(value, float) or not math.isfinite(value) or value == 0:
        return str(value)
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
