"""A comparison as a page: one HTML file that opens offline; the intervals of all differences are its main figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.errors import RequestError, clip
from search.show import page_files, template

if TYPE_CHECKING:
    from search.compare.pairs import Interval
    from search.compare.verdict import Comparison


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


def render(comparison: Comparison) -> str:
    """Return the whole document."""
    return template.load(__package__, "page.html").render(
        mark=_MARK,
        names=[arm.study for arm in comparison.arms],
        headline=comparison.headline(),
        confidence=comparison.confidence,
        table=comparison.table(),
        pairs=[(comparison.sentence(pair), comparison.details(pair)) for pair in comparison.pairs],
        remarks=comparison.remarks(),
        style=page_files.style(),
        scripts=page_files.libraries(),
        own_script=page_files.scripts(Path(__file__).parent / "assets", ["compare.js"]),
        data=page_files.data(_data(comparison)),
    )


def _data(comparison: Comparison) -> dict[str, Any]:
    side = "right" if comparison.scoring.higher else "left"
    return {
        "label": comparison.label,
        "pairLabel": f"difference, {comparison.scoring.axis} (the first is better to the {side})",
        "trials": [
            _row(arm.study, comparison.score(arm), f"{arm.label}: {comparison.score(arm)}") for arm in comparison.arms
        ],
        "pairs": [
            _row(f"{pair.first.study} minus {pair.second.study}", pair.score.interval, comparison.sentence(pair))
            for pair in comparison.pairs
        ],
    }


def _row(name: str, interval: Interval, told: str) -> dict[str, Any]:
    return {
        "name": name,
        "value": interval.value,
        "low": interval.low,
        "high": interval.high,
        "significant": interval.excludes_zero,
        "told": told,
    }
