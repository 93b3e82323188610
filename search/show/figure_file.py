"""The file of a command's figure: whether it can be written, and whether that would overwrite something else."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import EnvironmentFault, RequestError, clip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")


def check(file: Path) -> None:
    """Refuse a file that no figure can be written to, before anything is trained.

    Raises:
        RequestError: the name ends neither in .png nor in .svg, or the folder does not exist.
        EnvironmentFault: nothing can be written there.
    """
    if file.suffix.lower() not in FORMATS:
        raise RequestError(f"figure takes a file that ends in {' or '.join(FORMATS)}, got {str(file)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"figure: the folder {str(file.absolute().parent)!r} does not exist")
    if file.is_dir():
        raise RequestError(f"figure: {str(file)!r} is a folder")
    try:
        # The file is not created as a test, because there is no figure yet.
        tempfile.TemporaryFile(dir=file.absolute().parent).close()
    except OSError as error:
        place = str(file.absolute().parent)
        raise EnvironmentFault(f"figure: nothing can be written in {place!r}: {error.strerror}") from None


def validate_overwrite(file: Path, trials: Iterable[tuple[str, int]], *, force: bool) -> None:
    """Refuse to overwrite a file that is not an earlier figure of the same trials.

    Args:
        file: the file, which may not exist.
        trials: the study and the number of each trial that the figure shows.
        force: whether to overwrite it in any case.

    Raises:
        RequestError: the file holds something else.
    """
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
        figure.savefig(file, dpi=150, format=file.suffix[1:].lower(), metadata=mark)
    except OSError as error:
        raise EnvironmentFault(f"cannot write figure {str(file)!r}: {error.strerror}") from None


def _mark(trials: Iterable[tuple[str, int]]) -> bytes:
    # Hexadecimal digits are written as they are in the metadata of both formats.
    return f"regsearch {hashlib.sha256(repr(list(trials)).encode()).hexdigest()}".encode()
