"""Say which file hides this package from `python -m search.run`; installed as a module of its own.

Python looks for `search` in the current folder first. A user's `search.py` there is found instead of this package, and
Python then fails with a message that does not name it. So the distribution has a file `regsearch.pth`, which Python's
start-up reads (module `site`); it calls `explain` where a module is run by `-m`. This file imports nothing of the
package, which cannot be imported then.
"""

from __future__ import annotations

import os
import sys


def explain() -> None:
    """End the process with one line if it is about to run a module of ours that a user's file hides."""
    words = sys.orig_argv
    module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    package, _, name = module.partition(".")
    if package != "search" or not name or sys.flags.safe_path:  # a safe path leaves the current folder out
        return
    folder, file = os.path.abspath("search"), os.path.abspath("search.py")
    if os.path.isfile(os.path.join(folder, "__init__.py")):
        # A package of that name may have such a module: this one has, in its own folder, and so may a user's.
        own = os.path.join(folder, *name.split("."))
        hiding = None if os.path.exists(f"{own}.py") or os.path.exists(own) else folder
    else:
        hiding = file if os.path.isfile(file) else None
    if hiding is not None:
        command = name.partition(".")[0]
        print(
            f"error: {hiding} hides the package search of regsearch from python -m:"
            f" run `regsearch {command} ...`, or rename that file",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)  # an exception within start-up would be reported as a fatal error of Python
