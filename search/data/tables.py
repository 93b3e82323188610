"""The small real data sets that ship with scikit-learn, read from its data files without importing it.

digits         8x8 images of handwritten digits, pixels 0..16 (E. Alpaydin, C. Kaynak 1998)
wine           13 chemical measurements of wines of three cultivars (M. Forina 1991)
breast-cancer  30 measurements of cell nuclei (W. Street, W. Wolberg, O. Mangasarian 1993)
diabetes       10 measurements in their own units; target: disease progression a year later (B. Efron et al. 2004)

The files are plain CSV, and importing scikit-learn takes longer than training the first epochs.
"""

from __future__ import annotations

import importlib.util
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from search.data.inputs import Numbers
from search.data.source import Source
from search.errors import EnvironmentFault, RequestError


@dataclass(frozen=True)
class _Table:
    """The place and the shape of a table. Its target is the last column, or a separate file."""

    file: str
    rows: int
    features: int
    classes: tuple[str, ...] = ()
    target_file: str | None = None
    delimiter: str | None = ","
    header_lines: int = 0
    image_shape: tuple[int, int, int] | None = None
    pixel_max: int | None = None


TABLES = {
    "digits": _Table("digits.csv.gz", 1797, 64, tuple("0123456789"), image_shape=(1, 8, 8), pixel_max=16),
    "wine": _Table("wine_data.csv", 178, 13, ("class_0", "class_1", "class_2"), header_lines=1),
    "breast-cancer": _Table("breast_cancer.csv", 569, 30, ("malignant", "benign"), header_lines=1),
    "diabetes": _Table("diabetes_data_raw.csv.gz", 442, 10, target_file="diabetes_target.csv.gz", delimiter=None),
}


def read(name: str) -> Source:
    """Read the data set called `name`.

    Raises:
        EnvironmentFault: scikit-learn or its data file is missing or unreadable, or the file is not the right table.
        RequestError: a cell is not a finite number.
    """
    table = TABLES[name]
    folder = _folder(name)
    if table.target_file is None:
        cells = _cells(name, folder / table.file, table, table.features + 1)
        x, y = cells[:, :-1], cells[:, -1:]
    else:
        x = _cells(name, folder / table.file, table, table.features)
        y = _cells(name, folder / table.target_file, table, 1)
    if table.classes and not np.isin(y, np.arange(len(table.classes))).all():
        raise EnvironmentFault(
            f"dataset {name}: {folder / table.file} has class numbers outside 0..{len(table.classes) - 1}"
        )
    features = torch.from_numpy(x.astype(np.float32))
    targets = torch.from_numpy(y[:, 0].astype(np.int64) if table.classes else y.astype(np.float32))
    return Source(
        place=f"dataset {name}",
        task="classification" if table.classes else "regression",
        y=targets,
        inputs=Numbers(features),
        classes=table.classes,
        image_shape=table.image_shape,
        pixel_max=table.pixel_max,
    )


def _folder(name: str) -> Path:
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise EnvironmentFault(
            f"dataset {name} ships with scikit-learn, which is not installed: pip install scikit-learn"
        )
    return Path(spec.origin).parent / "datasets" / "data"


def _cells(name: str, path: Path, table: _Table, columns: int) -> NDArray[np.float64]:
    try:
        cells = np.loadtxt(path, delimiter=table.delimiter, skiprows=table.header_lines, ndmin=2)
    except FileNotFoundError as error:
        raise EnvironmentFault(f"dataset {name}: {path} is missing: reinstall scikit-learn") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise EnvironmentFault(f"dataset {name}: cannot read {path}: {' '.join(str(error).split())}") from error
    if cells.shape != (table.rows, columns):
        raise EnvironmentFault(
            f"dataset {name}: {path} holds {cells.shape[0]} rows x {cells.shape[1]} columns,"
            f" expected {table.rows} x {columns}: reinstall scikit-learn"
        )
    bad = np.argwhere(~np.isfinite(cells))
    if len(bad):
        row, column = bad[0] + 1
        raise RequestError(f"dataset {name}: column {column} of {path.name} is not a finite number in row {row}")
    return cells
