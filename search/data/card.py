"""The card of a table: what each column is taken for and made of, the target, and what looks suspicious.

Nothing is trained but a small tree on each column alone (see `leaks`), and nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data import files, leaks, table_files
from search.data.catalogue import is_path, load
from search.data.column_spec import ColumnSpec
from search.data.dataset import Data
from search.data.table import Table
from search.errors import RequestError, clip, counted, listed
from search.show.sheet import Sheet
from search.show.text import number

_SHOWN_CLASSES = 12


@dataclass(frozen=True)
class ColumnCard:
    """A column of a table.

    Attributes:
        name: its name.
        kind: what it is taken for: number, category, date or time.
        role: "input", "target" or "left out".
        missing: the share of rows in which it has no value.
        different: the number of its different values.
        example: its first value as it is read.
        inputs: the number of inputs of a network that are made of it.
        alone: how well it predicts the target alone (see `leaks.score`), for an input; None where that is unknown.
    """

    name: str
    kind: str
    role: str
    missing: float
    different: int
    example: str
    inputs: int = 0
    alone: float | None = None


@dataclass(frozen=True)
class DataCard:
    """A table at a glance.

    Attributes:
        file: the name of the file.
        rows: the number of rows that can be used.
        task: "classification" or "regression".
        target: the target as it was asked for.
        classes: the number of rows of each class, in the order of the classes; {} for a regression.
        inputs: the number of inputs of a network.
        columns: the columns, in the order of the file.
        notes: what a run says about the data.
        suspicious: the columns that nearly predict the target alone.
    """

    file: str
    rows: int
    task: str
    target: str
    classes: Mapping[str, int]
    inputs: int
    columns: tuple[ColumnCard, ...]
    notes: tuple[str, ...]
    suspicious: tuple[str, ...]

    def outcome(self) -> dict[str, Any]:
        """Return the card as JSON can hold it."""
        return asdict(self) | {"classes": dict(self.classes)}

    def sheet(self) -> Sheet:
        """Return the columns as a table."""
        rows = [
            [
                clip(column.name, 40),
                column.kind,
                f"{column.missing:.1%}" if column.missing else "",
                f"{column.different:,}",
                f"{column.inputs:,}" if column.role == "input" else column.role,
                number(None if column.alone is None else round(column.alone, 3)),
                clip(column.example, 40),
            ]
            for column in self.columns
        ]
        headings = ("column", "kind", "missing", "different", "inputs", "alone", "example")
        return Sheet(headings, rows, left=("column", "kind", "example"), title=self._title())

    def __str__(self) -> str:
        lines = [str(self.sheet())]
        if self.classes:
            shown = [
                f"{clip(name, 40)} {count:,} ({count / self.rows:.1%})" for name, count in list(self.classes.items())
            ]
            lines.append(f"classes: {listed(shown, _SHOWN_CLASSES)}")
        score = "balanced accuracy above guessing" if self.classes else "R²"
        lines.append(f"alone: how well a small tree predicts the target from this column ({score}, cross-validated)")
        if self.suspicious:
            lines.append(
                f"suspicious: {listed(self.suspicious)} nearly predict{'s' if len(self.suspicious) == 1 else ''} the"
                " target alone: would it be known before the target is? --data drop=COLUMN leaves it out"
            )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def _title(self) -> str:
        what = f"{self.task} of {clip(self.target)}"
        return f"{self.file}: {counted(self.rows, 'row')}, {what}, {counted(self.inputs, 'input')}"


def describe_data(
    dataset: str,
    target: str | None = None,
    options: Mapping[str, Any] | None = None,
    columns: Mapping[str, str] | None = None,
) -> DataCard:
    """Return the card of a table.

    Args:
        dataset: the path of the table.
        target: the column to predict, or several joined by commas.
        options, columns: as in `search.data.load`.

    Raises:
        RequestError, EnvironmentFault: as for `search.data.load`, or the data set is no table.
    """
    path = files.expanded(dataset)
    if not is_path(dataset) or (path.exists() and table_files.suffix(path) not in table_files.SUFFIXES):
        raise RequestError(f"a card is of a table ({table_files.SHOWN}), got {clip(dataset)!r}")
    data = load(dataset, target=target, options=options, columns=columns)
    assert target is not None  # `load` has refused a table without a target
    whole = table_files.read(path, options, columns)
    targets = [target] if target in whole.columns else [name.strip() for name in target.split(",")]
    table, _ = whole.with_known(targets, clip(target), "drop")
    y, counts = _targets(table, targets, data)
    made = _inputs(data)
    cards = []
    for name, spec in table.specs.items():
        role = "target" if name in targets else "input" if made.get(name) else "left out"
        score = leaks.score(table.columns[name], y, classes=bool(data.classes)) if role == "input" else None
        cards.append(_column(whole, name, spec, role, made.get(name, 0), score))
    suspicious = tuple(card.name for card in cards if card.alone is not None and card.alone >= leaks.SUSPICIOUS)
    return DataCard(
        file=path.name,
        rows=table.rows,
        task=data.task,
        target=target,
        classes=counts,
        inputs=data.features,
        columns=tuple(cards),
        notes=data.notes,
        suspicious=suspicious,
    )


def _targets(table: Table, names: list[str], data: Data) -> tuple[NDArray[Any], dict[str, int]]:
    """Return the targets of all rows, and the number of rows of each class."""
    if not data.classes:
        return np.column_stack([table.columns[name].astype(np.float64) for name in names]), {}
    _, numbers, counts = np.unique(table.columns[names[0]], return_inverse=True, return_counts=True)
    return numbers.reshape(-1), dict(zip(data.classes, counts.tolist(), strict=True))


def _inputs(data: Data) -> Mapping[str, int]:
    """Return the number of inputs that are made of each column."""
    return Counter(feature.column for feature in data.columns)


def _column(table: Table, name: str, spec: ColumnSpec, role: str, inputs: int, alone: float | None) -> ColumnCard:
    values = table.columns[name]
    text = values.dtype == object
    missing = np.array([value is None for value in values]) if text else np.isnan(values)
    known = values[~missing]
    return ColumnCard(
        name=name,
        kind=spec.kind,
        role=role,
        missing=float(missing.mean()),
        different=len(set(known.tolist())),
        example=spec.shown(known[0]) if len(known) else "",
        inputs=inputs,
        alone=alone,
    )
