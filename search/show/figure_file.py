"""The file of a figure: it is validated before anything is trained for the figure, and saved at the end."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import EnvironmentFault, RequestError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg")
_DPI = 150


def validate_figure_file(file: Path) -> None:
    """Refuse a file to which no figure can be written.

    Raises:
        RequestError: the file is neither PNG nor SVG, or its folder does not exist.
        EnvironmentFault: the folder can't be written to.
    """
    if file.suffix.lower() not in FORMATS:
        raise RequestError(f"figure takes a file that ends in {' or '.join(FORMATS)}, got {str(file)!r}")
    folder = file.absolute().parent
    if not folder.is_dir():
        raise RequestError(f"figure: no folder {str(folder)!r}")
    if file.is_dir():
        raise RequestError(f"figure: {str(file)!r} is a folder")
    try:
        # A temporary file shows whether the folder can be written to, and leaves a figure that exists as it is.
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise EnvironmentFault(f"figure: cannot write to folder {str(folder)!r}: {error.strerror}") from None


def save(figure: Figure, file: Path) -> None:
    """Save a figure as PNG or SVG, by the ending of the file's name.

    Raises:
        RequestError, EnvironmentFault: see `validate_figure_file`.
        EnvironmentFault: the file can't be written.
    """
    validate_figure_file(file)
    try:
        figure.savefig(file, dpi=_DPI, format=file.suffix[1:].lower())
    except OSError as error:
        raise EnvironmentFault(f"figure: cannot write {str(file)!r}: {error.strerror}") from None
