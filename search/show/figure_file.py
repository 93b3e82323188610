"""The file of a command's figure: found out to be of use before anything is trained for it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from search.errors import EnvironmentFault, RequestError

FORMATS = (".png", ".svg")


def check(file: Path) -> None:
    """Refuse a file that no figure can be written to, before anything is trained.

    Raises:
        RequestError: neither PNG nor SVG, or no such folder.
        EnvironmentFault: nothing can be written there.
    """
    if file.suffix.lower() not in FORMATS:
        raise RequestError(f"figure takes a file that ends in {' or '.join(FORMATS)}, got {str(file)!r}")
    if not file.absolute().parent.is_dir():
        raise RequestError(f"figure: no folder {str(file.absolute().parent)!r}")
    if file.is_dir():
        raise RequestError(f"figure: {str(file)!r} is a folder")
    try:
        # Not by making the file: there is no figure yet.
        tempfile.TemporaryFile(dir=file.absolute().parent).close()
    except OSError as error:
        place = str(file.absolute().parent)
        raise EnvironmentFault(f"figure: nothing can be written in {place!r}: {error.strerror}") from None
