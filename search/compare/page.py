"""A comparison as a page: one HTML file that opens offline; the intervals of all differences are its main figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import RequestError, clip
from search.show import page_files, template

if TYPE_CHECKING:
    from search.show.interval import Interval
    from search.show.sheet import Sheet


_MARK = "regsearch compare"


def validate_page(file: Path, *, force: bool) -> None:
    """Refuse a file that the page cannot be written to, before anything is trained.

    Raises:
        RequestError: it is no .html file, its folder does not exist, or it holds something else.
    """
    if file.suffix.lower() != ".html":
        raise RequestError(f"html takes a file that ends in .html, got {str(file)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"html: there is no folder {str(file.absolute().parent)!r}")
    if file.is_dir():
        raise RequestError(f"html: {str(file)!r} is a folder")
    if file.exists() and not force and _MARK.encode() not in file.read_bytes():
        raise RequestError(
            f"html: {clip(str(file), 200)} already exists and holds something else: give another --html, or overwrite"
            " it with --force"
        )


@dataclass(frozen=True)
class Line:
    """An interval of the page's figures: its name, and what the pointer shows beside it."""

    name: str
    interval: Interval
    told: str


@dataclass(frozen=True)
class Content:
    """What the page says.

    Attributes:
        names: the names of the studies.
        headline: the result in one line.
        confidence: the name of the differences' intervals.
        labels: the labels of the axes of trials and of differences.
        table: the chosen trials.
        trials: the interval of each chosen trial alone.
        differences: the interval of each difference, with a sentence on it.
        details: more on each difference.
        remarks: what a reader should know besides.
    """

    names: Sequence[str]
    headline: str
    confidence: str
    labels: tuple[str, str]
    table: Sheet
    trials: Sequence[Line]
    differences: Sequence[Line]
    details: Sequence[str]
    remarks: Sequence[str]


def render(content: Content) -> str:
    """Return the whole document."""
    drawn = {
        "label": content.labels[0],
        "pairLabel": content.labels[1],
        "trials": [_drawn(line) for line in content.trials],
        "pairs": [_drawn(line) for line in content.differences],
    }
    return template.load(__package__, "page.html").render(
        mark=_MARK,
        content=content,
        style=page_files.style(),
        scripts=page_files.libraries(),
        own_script=page_files.scripts(Path(__file__).parent / "assets", ["compare.js"]),
        data=page_files.data(drawn),
    )


def _drawn(line: Line) -> dict[str, Any]:
    found = line.interval
    ends = {"value": found.value, "low": found.low, "high": found.high, "significant": found.excludes_zero}
    return {"name": line.name, "told": line.told} | ends
