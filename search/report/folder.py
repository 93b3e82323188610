"""The folder of a report: found out early to be of use, filled at the end and all at once."""

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
    """The folder of a study's report, where none is named: safe on every file system, and of no other study."""
    safe = re.sub(r"[^A-Za-z0-9_.+-]+", "-", study).strip(".-")
    if safe != study or len(safe) > _LONGEST:
        # Other names may come to the same.
        digest = hashlib.sha256(study.encode()).hexdigest()[:6]
        safe = f"{safe[: _LONGEST - 7].rstrip('.-') or 'study'}-{digest}"
    return f"report-{safe}"


@contextlib.contextmanager
def ready(folder: Path) -> Iterator[None]:
    """A folder that can be written, made where it is not there, and taken away again if what follows fails.

    Raises:
        RequestError: there is a file in the folder's place.
        EnvironmentFault: it cannot be made or written.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise RequestError(f"output: takes a folder, and {str(folder)!r} is or lies below a file") from None
        except OSError as error:
            raise EnvironmentFault(f"cannot make the folder {str(folder)!r}: {error.strerror}") from None
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise _cannot_write(folder, error) from None
        yield
    except BaseException:
        for one in made:
            with contextlib.suppress(OSError):
                one.rmdir()
        raise


def fill(folder: Path, files: Mapping[str, bytes], remove: Iterable[str]) -> None:
    """Write files into a folder and remove others of it: what else it holds stays.

    They are moved into place, in their order, when all of them are written: an earlier report is there until then.

    Raises:
        EnvironmentFault: they cannot be written.
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
