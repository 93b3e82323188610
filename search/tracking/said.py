"""What the writer tells: one line at a time, on a terminal that is another process's."""

from __future__ import annotations

import contextlib
import re
import sys


def say(line: str) -> None:
    """One line on stderr, without the passwords that URLs carry (MLflow's own messages repeat them)."""
    line = re.sub(r"://[^/@\s]*@", "://...@", line)
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(line, file=sys.stderr, flush=True)
