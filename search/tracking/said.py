"""The lines that the writer prints on the terminal of the command that started it."""

from __future__ import annotations

import contextlib
import re
import sys


def say(line: str) -> None:
    """Print one line on stderr, without the passwords of URLs, which MLflow's own messages repeat."""
    line = re.sub(r"://[^/@\s]*@", "://...@", line)
    with contextlib.suppress(OSError):  # the terminal may have been closed
        print(line, file=sys.stderr, flush=True)
