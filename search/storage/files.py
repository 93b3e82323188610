"""Files that are written whole or not at all, whenever the process is killed."""

from __future__ import annotations

import os
from pathlib import Path

from search.errors import EnvironmentFault, clip


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under another name in the same folder, and then rename it, which replaces a file that was there.

    Raises:
        EnvironmentFault: the file cannot be written.
    """
    partial = Path(f"{path}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise EnvironmentFault(f"cannot write {clip(str(path), 200)}: {error.strerror}") from None
