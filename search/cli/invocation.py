"""Word commands for a person to type, in the way in which this process was started.

The same program can be started by `regsearch`, by `uv run regsearch` and by `python -m search.run`. `mlflow` is on the
shell's PATH only if the environment is activated: uv puts the environment's folder on the PATH of the programs that it
runs, not on the shell's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

STARTED = "REGSEARCH_COMMAND"
"""The environment variable that tells a child process how its command was typed."""
_PACKAGE = "search"


def command(name: str, *words: str) -> str:
    """Return the line that runs a command of this package, such as ``uv run regsearch sync l2-digits``."""
    start = os.environ.get(STARTED) or started()
    joint = "." if start.endswith(f"-m {_PACKAGE}") else " "
    return f"{start}{joint}{shlex.join([name, *words])}"


def started() -> str:
    """Return the start of a line that runs a command of this package: ``regsearch``, ``python -m search``."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    by_module = spec is not None and spec.name.partition(".")[0] == _PACKAGE
    return (None if by_module else _script("regsearch")) or f"{_python()} -m {_PACKAGE}"


def script(name: str) -> str:
    """Return the start of a line that runs a program of this environment, such as ``mlflow``."""
    return _script(name) or f"{_python()} -m {name}"


def _script(name: str) -> str | None:
    """Return the words that run a program of this environment; None if the environment has no such program."""
    own = shutil.which(name, path=str(_folder()))
    if own is None:
        return None
    typed = shutil.which(name, path=_shell_path())
    if typed is not None and os.path.samefile(typed, own):
        return name
    uv = _uv_run()
    return f"{uv} {name}" if uv else _relative(own)


def _python() -> str:
    typed = shutil.which("python", path=_shell_path())
    if typed is not None and Path(typed).parent.resolve() == _folder().resolve():
        return "python"
    if uv := _uv_run():
        return f"{uv} python"
    return _relative(sys.executable)


def _relative(path: str) -> str:
    return shlex.quote(path.removeprefix(f"{os.getcwd()}{os.sep}"))


def _folder() -> Path:
    """Return the folder of this environment's programs."""
    return Path(sys.executable).parent


def _shell_path() -> str:
    """Return the PATH of the shell that the command was typed in."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if "UV" in os.environ and folders and Path(folders[0]) == _folder():
        del folders[0]
    return os.pathsep.join(folders)


def _uv_run() -> str | None:
    """Return ``uv run``, with ``--project`` outside the project's folder; None if uv does not run this environment."""
    project = Path(sys.prefix).parent
    if "UV_RUN_RECURSION_DEPTH" not in os.environ or not (project / "pyproject.toml").is_file():
        return None
    here = Path.cwd()
    nearest = next((folder for folder in (here, *here.parents) if (folder / "pyproject.toml").is_file()), None)
    return "uv run" if nearest == project else f"uv run --project {shlex.quote(str(project))}"
