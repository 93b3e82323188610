"""What a study records about its data set, so that others can show it without reading the data."""

from __future__ import annotations

from typing import Any

from search.data import Data, Preprocessor

DATASET = "dataset"
"""The study attribute that holds what `describe` returns."""

_PLAIN = ("number", ".", "", "")


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
    """Return MLflow's type of each column that a preprocessor reads: "double" for numbers, "string" for all others.

    Numbers that are written with other signs, such as ``1.234,5``, are text too.
    """
    return {
        spec.name: "double" if (spec.kind, spec.decimal, spec.thousands, spec.currency) == _PLAIN else "string"
        for spec in preprocessor.specs
    }
