"""What a study records about its data set, so that others can show it without reading the data."""

from __future__ import annotations

from typing import Any

from search.data import Data

DATASET = "dataset"
"""The study attribute that holds what `describe` returns."""


def describe(data: Data, source: str) -> dict[str, Any]:
    """Return a data set's name, source, task, rows and columns, as JSON can hold them.

    Args:
        data: the data set.
        source: its name, or the path of its file.
    """
    # A column of a table is text if any of its inputs stands for one of its values.
    kinds: dict[str, str] = {}
    for feature in data.columns:
        kinds[feature.column] = "string" if feature.equals is not None else kinds.get(feature.column, "double")
    rows = {"train": data.x_train, "validation": data.x_val, "test": data.x_test}
    return {
        "name": data.name,
        "source": source,
        "task": data.task,
        "rows": {part: len(x) for part, x in rows.items()},
        "features": data.features,
        "outputs": data.outputs,
        "columns": kinds,
    }
