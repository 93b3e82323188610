"""Tables in text files: their encoding, the sign between columns, comment lines, and the line of each row.

The first line names the columns. A cell in quotes may hold the separator, line breaks and doubled quotes. Blanks around
cells are no part of them, and blank lines are passed over.

The encoding is UTF-8, or what a byte order mark says. Bytes that are not UTF-8 are read as Windows-1252, in which every
text of a Western European program is right.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from search.data.sheets import Sheet
from search.errors import EnvironmentFault, RequestError, clip, counted

SEPARATORS: dict[str, str] = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}
"""The signs that are tried, and their names. If two fit equally well, the first one counts: a comma may be decimal."""
WORDS = {"semicolon": ";", "tab": "\t", "bar": "|", "comma": ",", "\\t": "\t"}
"""The words that may stand for a separator in a command."""

_BLOCK = 2**20
_SAMPLE = 200
_ROWS_AT_ONCE = 50_000
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)


@dataclass(frozen=True)
class _Layout:
    """How a text file is laid out.

    Attributes:
        encoding: its encoding.
        separator: the sign between columns.
        skipped: the number of lines before that of the names.
        hash: whether the line of names begins with a # that is no part of them.
    """

    encoding: str
    separator: str
    skipped: int
    hash: bool = False


def read(path: Path, separator: str | None = None, encoding: str | None = None) -> Sheet:
    """Read a text file.

    Args:
        path: the path of a .csv, .tsv or .txt file, or one of these with .gz.
        separator: the sign between columns, or a word of `WORDS`; None to find it.
        encoding: a name that Python knows; None to find it.

    Raises:
        EnvironmentFault: the file is damaged, or a line has more or fewer cells than the first.
        RequestError: it is empty, or has one column only.
    """
    try:
        found, notes = _encoding(path, encoding)
        layout, said = _layout(path, found, separator)
        return _rows(path, layout, [*notes, *said])
    except UnicodeDecodeError:
        raise RequestError(f"{path.name} is not text in {encoding}: leave out --data encoding={encoding}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise EnvironmentFault(f"{path.name} is not a complete .gz file: {error}") from None


def _open(path: Path, encoding: str) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _encoding(path: Path, asked: str | None) -> tuple[str, list[str]]:
    """Return the encoding of a file, and a note on it if it is not UTF-8."""
    if asked is not None:
        try:
            codecs.lookup(asked)
        except (LookupError, ValueError):
            raise RequestError(f"unknown encoding {clip(asked)!r}: give one such as utf-8, cp1252 or utf-16") from None
        return asked, []
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    decoder, utf8 = codecs.getincrementaldecoder("utf-8")(), True
    with opened(path, "rb") as file:
        block = file.read(_BLOCK)
        for mark, name in _MARKS:
            if block.startswith(mark):
                return name, [] if name == "utf-8-sig" else [f"read as {name.upper()}"]
        if wide := _without_mark(block):
            return wide, [f"read as {wide.upper()}; --data encoding=NAME decides otherwise"]
        while block:
            if control := _CONTROLS.search(block):
                raise EnvironmentFault(f"{path.name} is not text: it holds the byte {control[0][0]}")
            if utf8:
                try:
                    decoder.decode(block)
                except UnicodeDecodeError:
                    utf8 = False
            block = file.read(_BLOCK)
    if utf8:
        try:
            decoder.decode(b"", final=True)
            return "utf-8-sig", []
        except UnicodeDecodeError:
            pass
    # Windows-1252 leaves five bytes undefined.
    name = "cp1252"
    try:
        with _open(path, name) as text:
            while text.read(_BLOCK):
                pass
    except UnicodeDecodeError:
        name = "latin-1"
    said = "Windows-1252" if name == "cp1252" else "Latin-1"
    return name, [f"not UTF-8, read as {said}; --data encoding=NAME decides otherwise"]


def _without_mark(block: bytes) -> str:
    """Return the UTF-16 encoding of text without a byte order mark, in which every other byte is mostly 0."""
    sample = block[: 2 * (min(len(block), 4000) // 2)]
    for name, zeros in (("utf-16-le", sample[1::2]), ("utf-16-be", sample[0::2])):
        if len(zeros) >= 4 and zeros.count(0) > 0.7 * len(zeros) and sample.count(0) < 0.6 * len(sample):
            return name
    return ""


def _layout(path: Path, encoding: str, asked: str | None) -> tuple[_Layout, list[str]]:
    """Return the layout of a file and what is to be said about it."""
    separator = None if asked is None else WORDS.get(asked, asked)
    if separator is not None and len(separator) != 1:
        raise RequestError(f"separator must be one sign or one of {', '.join(WORDS)}, got {clip(separator)!r}")
    notes: list[str] = []
    with _open(path, encoding) as file:
        head = list(islice(file, _SAMPLE))
    skipped, comments = 0, 0
    for line in head:
        stripped = line.lstrip("\ufeff \t")
        if skipped == 0 and (sign := _SEPARATOR_LINE.fullmatch(line)):
            separator = separator or sign[1]  # Excel's own
        elif stripped.startswith("#"):
            comments += 1
        elif stripped.strip():
            break
        skipped += 1
    rest = head[skipped:]
    found = separator or _separator(rest)
    # A # may stand before the names, as some programs write it: then that line has as many cells as the next one.
    above = next((line for line in reversed(head[:skipped]) if line.strip()), "")
    begins = bool(comments) and rest and _cells(above, found) == _cells(rest[0], found) > 1
    if begins:
        skipped = max(number for number, line in enumerate(head[:skipped]) if line is above)
        comments -= 1
        notes.append(f"line {skipped + 1} begins with #, and names the columns all the same")
    if comments:
        lines = [number for number, line in enumerate(head[:skipped], 1) if line.lstrip("\ufeff \t").startswith("#")]
        notes.append(f"passed over, {_lines(lines)} that begin{'s' if len(lines) == 1 else ''} with #")
    if asked is None and found != ("\t" if ".tsv" in path.name.lower() else ","):
        notes.append(
            f"columns separated by {SEPARATORS.get(found, repr(found))}; --data separator=SIGN decides otherwise"
        )
    return _Layout(encoding, found, skipped, bool(begins)), notes


def _lines(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:3])) + (f" and {len(numbers) - 3:,} more" if len(numbers) > 3 else "")
    return f"line{'' if len(numbers) == 1 else 's'} {shown}"


def _cells(line: str, separator: str) -> int:
    return len(next(csv.reader([line], delimiter=separator, skipinitialspace=True), []))


def _separator(lines: list[str]) -> str:
    """Return the sign that cuts most lines into as many cells as the first one, and into two at least."""
    scores: dict[str, float] = {}
    for sign in SEPARATORS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=sign, skipinitialspace=True) if not _blank(row)]
        except csv.Error:
            continue
        if rows and len(rows[0]) > 1:
            # The last row may be cut off where the sample ends.
            judged = rows[1:-1] if len(rows) > 3 else rows[1:]
            scores[sign] = sum(len(row) == len(rows[0]) for row in judged) / max(1, len(judged))
    return max(scores, key=lambda sign: scores[sign]) if scores else ","


def _rows(path: Path, layout: _Layout, notes: list[str]) -> Sheet:
    """Read the rows; those with more or fewer cells than the first are refused."""
    names: list[str] = []
    blocks: list[list[Any]] = []
    begins, pending, passed = list[int](), list[list[str]](), list[int]()
    with _open(path, layout.encoding) as file:
        for begun, line in _records(path, file, layout):
            if not names:
                names = line
                _validate_names(path, names)
                first = begun
                continue
            if not begins and not passed and len(line) == len(names) + 1:
                # R writes the names of rows without a name of their own; others end each line with a separator.
                names = [*names, ""] if not line[-1].strip() else ["", *names]
            if len(line) != len(names):
                if line[0].startswith("#"):
                    passed.append(begun)
                    continue
                raise EnvironmentFault(
                    f"{path.name}: line {begun} has {counted(len(line), 'cell')},"
                    f" line {first} names {len(names)} columns"
                )
            pending.append(line)
            begins.append(begun)
            if len(pending) == _ROWS_AT_ONCE:
                blocks.append(_packed(pending))
                pending = []
    if not names:
        raise RequestError(f"{path.name} is empty: its first line must name the columns")
    if passed:
        notes.append(f"passed over, {_lines(passed)} that begin{'s' if len(passed) == 1 else ''} with #")
    if pending:
        blocks.append(_packed(pending))
    lines = np.array([first, *begins])
    likely = "," if layout.separator == ";" else ""
    columns = [_joined([block[number] for block in blocks]) for number in range(len(names))]
    return Sheet(names, columns, lambda row: f"line {lines[row + 1]}", tuple(notes), likely_decimal=likely)


def _records(path: Path, file: IO[str], layout: _Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield each record that is not blank, and the line where it begins."""
    for _ in range(layout.skipped):
        file.readline()
    first = file.readline().lstrip("\ufeff") if layout.skipped else file.readline()
    if layout.hash:
        first = first.replace("#", "", 1)
    begun = layout.skipped + 1

    def lines() -> Iterator[str]:
        yield first
        yield from file

    reader = csv.reader(lines(), delimiter=layout.separator, strict=True, skipinitialspace=True)
    try:
        for line in reader:
            if not _blank(line):
                yield begun, line
            begun = layout.skipped + reader.line_num + 1
    except csv.Error as error:
        said = clip(" ".join(str(error).split()), 200)
        raise EnvironmentFault(f"cannot read {path.name}: line {begun}: {said}") from None


def _blank(line: list[str]) -> bool:
    return not line or (len(line) == 1 and not line[0].strip())


def _validate_names(path: Path, names: list[str]) -> None:
    if len(names) == 1:
        raise RequestError(
            f"{path.name} has one column: it needs a target and a column to learn from"
            "; --data separator=SIGN says what stands between columns"
        )


def _packed(rows: list[list[str]]) -> list[Any]:
    """Return the columns of some rows in pandas' arrays of text, which take less memory than lists."""
    import pandas as pd

    return [pd.array(column, dtype=pd.StringDtype()) for column in map(list, zip(*rows, strict=True))]


def _joined(parts: list[Any]) -> NDArray[Any]:
    return np.concatenate([np.asarray(part, dtype=object) for part in parts]) if parts else np.array([], dtype=object)
