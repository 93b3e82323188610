"""Turn the rows that a person wants predictions for into the raw inputs of a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data import Data, Preprocessor, arrays, memory, table_files
from search.data.column_spec import parse
from search.data.targets import BadRow
from search.errors import RequestError, clip, listed, nearest
from search.train.model_meta import Meta

if TYPE_CHECKING:
    import pandas as pd

Rows: TypeAlias = "str | Path | pd.DataFrame | Mapping[str, Any] | Sequence[Mapping[str, Any]] | NDArray[Any] | Tensor"
"""New rows: a path, a table (a data frame, or what makes one), or an array ``rows x features`` or of images."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What a model takes and predicts, which is known before it is trained.

    Attributes:
        title: the name of the model in an error.
        features: the number of its raw inputs.
        from_table: whether it takes the columns of a table.
        preprocessor: what turns the columns into raw inputs; None for other data, and in files of older versions.
        outputs: the number of classes or targets.
        classes: the names of the classes; () for regression.
        target_names: the names of the targets; () if they have none.
    """

    title: str
    features: int
    from_table: bool
    preprocessor: Preprocessor | None
    outputs: int
    classes: tuple[str, ...]
    target_names: tuple[str, ...]

    @classmethod
    def by_model(cls, meta: Meta) -> Wanted:
        """Return what a model file takes."""
        table, outputs = bool(meta.columns), meta.widths[-1]
        return cls(meta.title, meta.features, table, meta.preprocessor, outputs, meta.classes, meta.target_names)

    @classmethod
    def by_data(cls, study: str, data: Data) -> Wanted:
        """Return what the networks of a study take."""
        table = data.preprocessor is not None
        return cls(study, data.features, table, data.preprocessor, data.outputs, data.classes, data.target_names)

    def endings(self) -> tuple[str, ...]:
        """Return what follows `prediction` in the names of the columns: "", or ``_TARGET`` of several targets."""
        if self.classes or self.outputs == 1:
            return ("",)
        return tuple(f"_{name}" for name in self.target_names or range(1, self.outputs + 1))

    def predicted(self, *, intervals: bool) -> list[str]:
        """Return the names of the columns that predictions have."""
        if self.classes:
            names = ["prediction", *(f"probability_{name}" for name in self.classes)]
            return [*names, "prediction_set"] if intervals else names
        kinds = ("prediction", "lower", "upper") if intervals else ("prediction",)
        return [f"{kind}{ending}" for ending in self.endings() for kind in kinds]


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows to predict.

    Attributes:
        raw: their raw inputs, ``rows x features`` float32.
        table: their columns as they were given; without columns if they were given as an array.
        notes: what a person should know about them, a line each.
    """

    raw: Tensor
    table: pd.DataFrame
    notes: tuple[str, ...]


def read(rows: Rows, wanted: Wanted) -> NewRows:
    """Read new rows for a model.

    Args:
        rows: a path (a table, or an .npz file with an array x), a table, or an array of numbers.
        wanted: what the model takes.

    Raises:
        RequestError: a column is missing, a cell cannot be read, or the rows do not have the model's inputs.
        EnvironmentFault: a file is damaged.
    """
    import pandas as pd

    if isinstance(rows, str | Path):
        return _file(Path(os.path.expanduser(rows)), wanted)
    if isinstance(rows, np.ndarray | Tensor):
        return _array(np.asarray(rows), wanted, "the array")
    if memory.is_frame(rows):
        rows = memory.as_frame(rows)
    if not isinstance(rows, pd.DataFrame):
        try:
            rows = pd.DataFrame(rows)
        except (ValueError, TypeError) as error:
            raise RequestError(f"predict takes a data frame, a path or an array: {error}") from None
    if not wanted.from_table:
        return _array(rows.to_numpy(), wanted, "the table")
    index = rows.index
    return _table(rows, wanted, "the table", lambda row: f"row {row + 1} (index {clip(str(index[row]), 40)})")


def _file(path: Path, wanted: Wanted) -> NewRows:
    shown = clip(str(path), 200)
    if not os.path.isfile(path):
        beside = os.listdir(path.parent) if os.path.isdir(path.parent) else []
        raise RequestError(f"there is no file {shown!r}{nearest(path.name, beside)}")
    if table_files.suffix(path) not in table_files.SUFFIXES:
        return _array(arrays.read_x(path), wanted, path.name)
    if not wanted.from_table:
        raise RequestError(
            f"{path.name} is a table, but {wanted.title} takes arrays: give an .npz file with an array x"
        )
    reading = {} if wanted.preprocessor is None else wanted.preprocessor.reading
    frame, where = table_files.cells_with_places(path, reading)
    return _table(frame, wanted, path.name, where)


def _table(frame: pd.DataFrame, wanted: Wanted, place: str, where: Callable[[int], str]) -> NewRows:
    preprocessor = wanted.preprocessor
    if preprocessor is None:
        raise RequestError(
            f"{wanted.title} was exported by an older version, which did not keep the encoding: export it again"
        )
    names = list(map(str, frame.columns))
    needed = [spec.name for spec in preprocessor.specs]
    for name in needed:
        if names.count(name) > 1:
            raise RequestError(f"{place} has {names.count(name)} columns called {clip(name)!r}")
    if missing := [name for name in needed if name not in names]:
        more = f"; it also lacks {listed(missing[1:])}" if len(missing) > 1 else ""
        raise RequestError(f"{table_files.no_column(place, missing[0], names)}{more}")
    try:
        columns = {
            # Columns are taken by their place, because a name may be a number.
            spec.name: parse(spec, frame.iloc[:, names.index(spec.name)].to_numpy())
            for spec in preprocessor.specs
        }
        raw = preprocessor.transform(columns)
    except BadRow as bad:
        raise RequestError(f"{place}: {bad.what} in {where(bad.row)}") from None
    notes = [f"{place}: {line}" for line in preprocessor.unfamiliar(columns).notes]
    if unused := [name for name in names if name not in needed]:
        shown = [f"{name} (the target)" if name in wanted.target_names else name for name in unused]
        notes.append(f"{place}: columns that are not used: {listed(shown)}")
    return NewRows(torch.from_numpy(raw), frame, tuple(notes))


def _array(array: NDArray[Any], wanted: Wanted, place: str) -> NewRows:
    import pandas as pd

    if wanted.from_table:
        raise RequestError(f"{wanted.title} takes the columns of a table: give a data frame, or a table such as a .csv")
    raw, _ = arrays.as_rows(array, place)
    if raw.shape[1] != wanted.features:
        raise RequestError(
            f"{place} has rows of {raw.shape[1]:,} numbers, but {wanted.title} takes {wanted.features:,}"
        )
    return NewRows(raw.float(), pd.DataFrame(index=range(len(raw))), ())
