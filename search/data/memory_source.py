"""Read data in memory as a `Source`: a frame like a table in a file, arrays like those of an .npz file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search.data import arrays, files, frames, headers, sources, table_files
from search.data.inputs import Numbers
from search.data.memory import MEMORY, Memory
from search.data.rules import Rules
from search.data.source import Source
from search.data.table import Table, row_number
from search.data.targets import infer
from search.errors import RequestError, clip, counted, listed, unknown

_ALONE = ("task",)
_OF_FRAMES = (*_ALONE, "missing_target", "drop", "missing", "keep", "dates")


def read(
    given: Memory | None, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    """Read a data set in memory.

    Args:
        given: the data set; None if this process does not have it.
        target: the column of a frame to predict. Several, joined by commas, make a regression with several outputs.
        rules: the rules of the split, which name columns of the frame.
        options: "task", which is otherwise inferred (see `targets`); for a frame also "missing_target", which may be
            "drop", and drop, missing, keep and dates of `table_files.OPTIONS`.
        kinds: for a frame, the kind of some columns, by name; see `table.KINDS`.

    Raises:
        RequestError: there are no data, or they are not as they should be.
    """
    if given is None:
        raise RequestError(
            "the data of this study were given in memory, so no command can read them: in Python, give them again, as"
            " in Study('l2', data=...) or load_study('l2-memory', data=...)"
        )
    allowed = _OF_FRAMES if given.frame is not None else _ALONE
    for option in options:
        if option not in allowed:
            raise unknown(f"option of {'a data frame' if given.frame is not None else 'arrays'}", option, allowed)
    if rules.validation != "train":
        raise files.no_test_part("data in memory", rules)
    source = (_of_arrays if given.frame is None else _of_frame)(given, target, rules, options, kinds)
    first, *others = source.notes
    return replace(source, notes=(first, *given.notes, *others))


def _of_frame(
    given: Memory, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    assert given.frame is not None
    if target is None and not given.target_names:
        known = listed(list(map(str, given.frame.columns)))
        raise RequestError(f"a data frame needs target='COLUMN', or give a pair data=(x, y) (it has: {known})")
    if target is not None and given.target_names:
        raise RequestError(f"target {clip(target)!r} has no place: the pair (x, y) has its target in y")
    asked = sources.asked_of(options, rules)
    whole = frames.read(given.frame, asked, kinds)
    names = list(given.target_names)
    if target is not None:
        names = sources.target_columns(whole, target)
    parts = {part: _part(given, part, file, whole, asked) for part, file in rules.files.items()}
    return sources.of_tables(whole, parts, names, target or ",".join(names), rules, options, given.classes)


def _part(given: Memory, part: str, file: str, whole: Table, options: Mapping[str, Any]) -> Table:
    """Return the table of a part, from memory or from a file, read by the specs of the whole table."""
    if file == MEMORY:
        other = _given_part(given, part).frame
        if other is None:
            raise RequestError(f"{part} holds arrays: give a data frame, as data does")
        names = headers.clean(list(map(str, other.columns))).names
        return table_files.alike(part, other.set_axis(list(names), axis=1), row_number, whole)
    path = files.expanded(file)
    if table_files.suffix(path) not in table_files.SUFFIXES or not os.path.isfile(path):
        raise RequestError(
            f"{part} {clip(file, 200)!r} is no table in a file: for a data frame it takes one with the same columns,"
            " another data frame, or a fraction of the rows"
        )
    return table_files.read_alike(path, whole, options)


def _given_part(given: Memory, part: str) -> Memory:
    if part not in given.parts:
        raise RequestError(f"the {part} rows of this study were given in memory: give them again, as in {part}=(x, y)")
    return given.parts[part]


def _of_arrays(
    given: Memory, target: str | None, rules: Rules, options: Mapping[str, Any], kinds: Mapping[str, str]
) -> Source:
    assert given.x is not None
    assert given.y is not None
    paths = {part: file for part, file in rules.files.items() if file != MEMORY}
    columns = {"target": target, **rules.roles, **paths, "columns": next(iter(kinds), None)}
    for name, asked in columns.items():
        if asked is not None:
            raise RequestError(
                f"{name} {clip(str(asked))!r} names a {'file' if name in rules.files else 'column'}, which arrays do"
                " not have: give a data frame"
            )
    parts = {part: _given_part(given, part) for part in rules.files}
    (x, shape), *others = (_rows(one, name) for name, one in (("x", given), *parts.items()))
    for part, (rows, shape_there) in zip(parts, others, strict=True):
        if (rows.shape[1], rows.dtype, shape_there) != (x.shape[1], x.dtype, shape):
            raise RequestError(
                f"{part}: its rows differ from those of x: {counted(rows.shape[1], 'feature')} of {_typed(rows)} here,"
                f" {x.shape[1]:,} of {_typed(x)} there"
            )
    targets = infer(_joined_targets(given, parts), "y", options.get("task"))
    pixels = x.dtype == torch.uint8
    return sources.joined(
        "arrays",
        {part: part for part in parts},
        [len(x), *(len(rows) for rows, _ in others)],
        targets,
        inputs=Numbers(torch.cat([x, *(rows for rows, _ in others)])),
        image_shape=shape,
        pixel_max=255 if pixels else None,
        channels=(shape[0] if shape else 1) if pixels else None,
        notes=(f"arrays: {targets.summary}; {counted(x.shape[1], 'input')}",),
    )


def _rows(given: Memory, name: str) -> tuple[Tensor, arrays.Shape | None]:
    """Return the inputs of arrays, ``rows x features``, and the shape of their images."""
    if given.x is None:
        raise RequestError(f"{name} is a data frame: give a pair (x, y) of arrays, as data does")
    if given.x.dtype.kind == "f" and (missing := np.argwhere(np.isnan(given.x))).size:
        raise RequestError(
            f"{name} is missing in row {missing[0][0] + 1}, feature {missing[0][1] + 1}: give x as a data frame, whose"
            " missing cells are filled"
        )
    return arrays.as_rows(given.x, name)


def _joined_targets(given: Memory, parts: Mapping[str, Memory]) -> NDArray[Any]:
    """Return the targets of all rows, those of the parts last."""
    assert given.y is not None
    every = [given.y, *(one.y for one in parts.values() if one.y is not None)]
    for part, y in zip(parts, every[1:], strict=True):
        if y.shape[1:] != given.y.shape[1:] or (y.dtype.kind in "OUS") != (given.y.dtype.kind in "OUS"):
            raise RequestError(f"{part}: y differs from that of data in shape or type")
    return np.concatenate(every)


def _typed(rows: Tensor) -> str:
    return str(rows.dtype).removeprefix("torch.")
