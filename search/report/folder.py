"""The folder of a report: it is checked before the report is made, and filled at the end and all at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from search.errors import EnvironmentFault, RequestError

_LONGEST = 100


def folder_name(study: str) -> str:
    """Return the default folder of a study's report: a name that every file system takes, different for each study."""
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "-", study).strip(".-")
    if safe != study or len(safe) > _LONGEST:
        # Several names may become the same, so a digest tells them apart.
        digest = hashlib.sha256(study.encode()).hexdigest()[:6]
        safe = f"{safe[: _LONGEST - 7].rstrip('.-') or 'study'}-{digest}"
    return f"report-{safe}"


@contextlib.contextmanager
def ready(folder: Path) -> Iterator[None]:
    """Make a folder if it does not exist and check that it can be written to; remove it again if the block fails.

    Raises:
        RequestError: a file is in the folder's place.
        EnvironmentFault: the folder cannot be made or written to.
    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RequestError(f"output takes a folder, but {str(folder)!r} is a file or lies below one") from None
        except OSError as error:
            raise EnvironmentFault(f"cannot make the folder {str(folder)!r}: {error.strerror}") from None
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise _cannot_write(folder, error) from None
        yield
    except BaseException:
        for place in missing:
            with contextlib.suppress(OSError):
                place.rmdir()
        raise


def fill(folder: Path, files: Mapping[str, bytes], remove: Iterable[str]) -> None:
    """Write files into a folder and remove some others; whatever else the folder holds stays.

    The files are moved into place, in their order, when all of them are written. An earlier report stays until then.

    Raises:
        EnvironmentFault: the files cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished:
            for name, data in files.items():
                Path(unfinished, name).write_bytes(data)
            for name in files:
                os.replace(Path(unfinished, name), folder / name)
        for name in remove:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from None


def _cannot_write(folder: Path, error: OSError) -> EnvironmentFault:
    return EnvironmentFault(f"cannot write the report into {str(folder)!r}: {error.strerror}")
