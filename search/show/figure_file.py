"""Figures as files: whether one can be written, whether that would overwrite something else, and how it is drawn."""

from __future__ import annotations

import hashlib
import io
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import EnvironmentFault, RequestError, clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
_SIGNATURE = "regsearch trials "


def validate_figure_file(file: Path) -> None:
    """Refuse a file that no figure can be written to, before anything is trained.

    Raises:
        RequestError: the file is neither PNG nor SVG, or its folder does not exist.
        EnvironmentFault: nothing can be written there.
    """
    if file.suffix.lower() not in FORMATS:
        raise RequestError(f"figure takes a file that ends in {' or '.join(FORMATS)}, got {str(file)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"figure: there is no folder {str(file.absolute().parent)!r}")
    if file.is_dir():
        raise RequestError(f"figure: {str(file)!r} is a folder")
    try:
        # The file itself is not created, because there is no figure yet.
        tempfile.TemporaryFile(dir=file.absolute().parent).close()
    except OSError as error:
        place = str(file.absolute().parent)
        raise EnvironmentFault(f"figure: nothing can be written in {place!r}: {error.strerror}") from None


def validate_replaceable(file: Path, *, force: bool) -> None:
    """Refuse to overwrite a file that this package did not write; this needs no training.

    Raises:
        RequestError: the file holds something else.
    """
    if file.exists() and not force and _SIGNATURE.encode() not in file.read_bytes():
        raise RequestError(
            f"figure: {clip(str(file), 200)} already exists and was not written by this version of regsearch:"
            " give another --figure, or overwrite it with --force"
        )


def validate_overwrite(file: Path, trials: Iterable[tuple[str, int]], *, force: bool) -> None:
    """Refuse to overwrite a file that is not an earlier figure of the same trials.

    Args:
        file: the file, which may not exist.
        trials: the study and the number of each trial that the figure shows.
        force: whether to overwrite it in any case.

    Raises:
        RequestError: the file holds something else.
    """
    validate_replaceable(file, force=force)
    if file.exists() and not force and _mark(trials) not in file.read_bytes():
        raise RequestError(
            f"figure: {clip(str(file), 200)} already exists and is not a figure of these trials:"
            " give another --figure, or overwrite it with --force"
        )


def save(figure: Figure, file: Path, trials: Iterable[tuple[str, int]]) -> None:
    """Save a figure as PNG or SVG, with a mark of the trials that it shows.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    mark = {"Description": _mark(trials).decode()}
    try:
        file.write_bytes(drawn(figure, file.suffix[1:].lower(), dpi=150, metadata=mark))
    except OSError as error:
        raise EnvironmentFault(f"cannot write figure {str(file)!r}: {error.strerror}") from None


def drawn(figure: Figure, kind: str, *, dpi: int, metadata: Mapping[str, str | None] | None = None) -> bytes:
    """Return a figure as the bytes of a PNG or SVG file, on white."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        # The font may lack the script of a name that a user has given.
        warnings.filterwarnings("ignore", "Glyph .* missing")
        figure.savefig(content, format=kind, dpi=dpi, facecolor="white", metadata=metadata)
    return content.getvalue()


def _mark(trials: Iterable[tuple[str, int]]) -> bytes:
    # Hexadecimal digits are written as they are in the metadata of both formats.
    return f"{_SIGNATURE}{hashlib.sha256(repr(list(trials)).encode()).hexdigest()}".encode()
