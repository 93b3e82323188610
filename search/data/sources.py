"""A `Source` from what has been read: from tables with their target columns, or from the rows of several files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from search.data import joining, table_files
from search.data import roles as roles_of
from search.data.inputs import Table as TableInputs
from search.data.rules import Rules
from search.data.source import Source
from search.data.table import Table
from search.data.targets import BadRow, Targets, imbalance, infer
from search.errors import RequestError, clip, counted


def asked_of(options: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """Return the options by which a table is read: a column with a role is read, though it may be dropped as an input.

    The time of a row may be dropped, and still order the rows.
    """
    roles = [name for name in rules.roles.values() if name is not None]
    return {**options, "drop": [name for name in table_files.words(options.get("drop")) if name not in roles]}


def target_columns(table: Table, target: str) -> list[str]:
    """Return the target columns: the one with this name or, if there is none, those named between commas.

    Raises:
        RequestError: there is no such column, or it is named twice.
    """
    names = list(table.columns)
    chosen = [target] if target in names else [part.strip() for part in target.split(",")]
    for name in chosen:
        if name not in names:
            raise table_files.no_column(table.place, name, names)
        if chosen.count(name) > 1:
            raise RequestError(f"target {clip(target)!r} names {clip(name)!r} twice")
    return chosen


def of_tables(
    whole: Table,
    parts: Mapping[str, Table],
    target_names: Sequence[str],
    target: str,
    rules: Rules,
    options: Mapping[str, Any],
    classes: tuple[str, ...] = (),
) -> Source:
    """Return the data set of a table.

    Args:
        whole: the table.
        parts: the tables of its validation and test part, "val" and "test", if they are given.
        target_names: the columns to predict.
        target: what the user calls them.
        rules: the rules of the split, which name columns.
        options: those of `files.read`.
        classes: the names of the classes 0, 1, 2 ... that the target holds; () to take the values themselves.

    Raises:
        RequestError: a column does not exist or has two roles, or a target cannot be used.
    """
    place, drop = whole.place, table_files.words(options.get("drop"))
    roles = [name for name in rules.roles.values() if name is not None]
    for role, name in rules.roles.items():
        if name is None:
            continue
        if name not in whole.columns:
            raise RequestError(f"{role}: {table_files.no_column(place, name, list(whole.columns))}")
        if name in target_names:
            raise RequestError(f"{role}: {place}: {clip(name)!r} is the target, which cannot be the {role} too")
    shown = f"{place}: target {clip(target)!r}"
    tables, without_target = joining.with_known_targets([whole, *parts.values()], target_names, target, options)
    lengths = [table.rows for table in tables]
    columns, where = joining.join(tables), joining.places(tables)
    fields, notes = roles_of.read({name: columns[name] for name in roles}, rules, place, where)
    taken = [name for role, name in rules.roles.items() if name is not None and (role != "time" or name in drop)]
    inputs, left_out = whole.inputs([*taken, *target_names])
    try:
        targets = infer(np.column_stack([columns[name] for name in target_names]), shown, options.get("task"))
    except BadRow as bad:
        raise RequestError(bad.at(where(bad.row))) from None
    if classes:
        targets = replace(targets, classes=classes)
    specs = {name: whole.specs[name] for name in inputs}
    reading = {name: options[name] for name in table_files.READING if name in options}
    again = joining.repeated(columns, tables)
    said = (*whole.notes, *without_target, *left_out, *again, *imbalance(targets, shown))
    return joined(
        place,
        {part: table.place for part, table in parts.items()},
        lengths,
        targets,
        notes=(f"{place}: {targets.summary} in {clip(target)}", *said, *notes),
        target_names=tuple(target_names),
        inputs=TableInputs(specs, columns, place, where, reading),
        where=where,
        **fields,
    )


def joined(place: str, parts: Mapping[str, str], lengths: Sequence[int], targets: Targets, **fields: Any) -> Source:
    """Return the data set whose rows come from several files: its own, and those of its parts.

    Args:
        place: the name of the data set.
        parts: the name of the file of each part, "val" and "test".
        lengths: the number of rows of the data set, and of each part.
        targets: the targets of all rows.
        fields: the other fields of `Source`.

    Raises:
        RequestError: a class is in a part only.
    """
    every = torch.split(torch.arange(len(targets.y)), list(lengths))
    given = dict(zip(parts, every[1:], strict=True))
    own = every[0]
    for part, rows in given.items():
        if targets.classes:
            only = np.setdiff1d(targets.y[rows].numpy(), targets.y[own].numpy())
            if len(only):
                name = targets.classes[int(only[0])]
                raise RequestError(
                    f"{parts[part]}: class {clip(name)!r} is in no row of {place}, so it cannot be learnt:"
                    f" add such rows to {place}, or leave them out of {parts[part]}"
                )
    notes = [*fields.pop("notes"), *(_part_note(part, parts[part], len(rows)) for part, rows in given.items())]
    return Source(
        place=place,
        task=targets.task,
        y=targets.y,
        classes=targets.classes,
        notes=tuple(notes),
        **{"val": given.get("val"), "test": given.get("test"), **fields},
    )


def _part_note(part: str, place: str, rows: int) -> str:
    return f"{'validation' if part == 'val' else 'test'}: all {counted(rows, 'row')} of {place}"
