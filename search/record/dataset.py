"""What a study records about its data set, so that others can show it without reading the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from search.data import Data, Preprocessor
from search.data.encoders import Category, Number, is_whole

DATASET = "dataset"
"""The study attribute that holds what `describe` returns."""

_PLAIN = (".", "", "")


def describe(data: Data, source: str) -> dict[str, Any]:
    """Return a data set's name, source, task, rows and columns, as JSON can hold them.

    Args:
        data: the data set.
        source: its name, or the path of its file.
    """
    rows = {"train": data.x_train, "validation": data.x_val, "test": data.x_test}
    return {
        "name": data.name,
        "source": source,
        "task": data.task,
        "rows": {part: len(x) for part, x in rows.items()},
        "features": data.features,
        "outputs": data.outputs,
        "columns": {} if data.preprocessor is None else column_types(data.preprocessor),
        "targets": list(data.target_names),
    }


def column_types(preprocessor: Preprocessor) -> dict[str, str]:
    """Return MLflow's type of each column that a preprocessor reads, which is that of pandas for the same table.

    Whole numbers without a missing one are "long", other numbers "double", True and False "boolean". All else is
    "string": dates, text, and numbers that are written with other signs, such as ``1.234,5``.
    """
    types: dict[str, str] = {}
    for encoder in preprocessor.encoders:
        spec = encoder.column
        kind = "string"
        if isinstance(encoder, Number) and (spec.decimal, spec.thousands, spec.currency) == _PLAIN:
            kind = "long" if encoder.whole else "double"
        elif isinstance(encoder, Category):
            kind = _type_of(encoder.values)
        # The first encoder of a column is the one that reads its values; the others say where they are missing.
        types.setdefault(spec.name, kind)
    return {spec.name: types[spec.name] for spec in preprocessor.specs}


def _type_of(values: Sequence[str | None]) -> str:
    if set(values) == {"True", "False"}:
        return "boolean"
    return "long" if all(value is not None and is_whole(value) for value in values) else "string"
