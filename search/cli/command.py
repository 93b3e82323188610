"""Run a command and return its exit status; a failure becomes one line on stderr.

The exit status is 0 for success, 1 if the machine failed or the answer is no, 2 if the request was wrong, and 130 if
the command was interrupted, which loses nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from search.cli import mistyped
from search.errors import EnvironmentFault, RequestError, TechniqueError, clip

INTERRUPTED = 130
_PATIENCE = 3.0  # the most seconds that an interrupted command may take to end by itself
_GO_ON = "interrupted: every finished trial is kept; run the same command again to go on"
_FOR_THE_TRACEBACK = "for the traceback run it with `python -X dev`"


def serve(app: typer.Typer, words: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; a failure is one line on stderr.

    `typer.Context.obj` holds the words. ``python -X dev`` shows the traceback of an unexpected error, and of an error
    in the code of a technique.
    """
    with _Interrupts():
        return _serve(app, words)


def leave(status: int) -> NoReturn:
    """End the process with an exit status; an interrupted command ends at once, without waiting for its threads.

    They may be in the middle of an epoch. Python's own exit would free torch's data while they use it, and crash.
    """
    if status == INTERRUPTED:
        os._exit(status)
    sys.exit(status)


def _serve(app: typer.Typer, words: Sequence[str] | None) -> int:
    words = sys.argv[1:] if words is None else list(words)
    # A closed stream is None, and `print(file=None)` writes to stdout: an error would land among the results.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        # Typer turns Ctrl-C into a return value, not into an exception.
        status = app(words, standalone_mode=False, obj=words)
        sys.stdout.flush()
    except TyperException as error:
        return _fail(mistyped.sentence(error, words), 2)
    except TechniqueError as error:
        if sys.flags.dev_mode:
            traceback.print_exception(error)
        return _fail(f"{error}; {_FOR_THE_TRACEBACK}", error.status)
    except RequestError as error:
        return _fail(str(error), 2)
    except EnvironmentFault as error:
        return _fail(str(error), 1)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except (BrokenPipeError, SystemExit) as error:
        # The reader of stdout has gone (`| head`), which is no failure. Typer turns it into a SystemExit.
        if isinstance(error, SystemExit) and not isinstance(error.__context__, BrokenPipeError):
            return _fail(f"the program called exit, with status {error.code}", 1)
        _discard_stdout()
        return 0
    except OSError as error:
        _discard_stdout()
        return _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        if _is_memory(error):
            return _fail("out of memory: try fewer --slots, a smaller --hidden or a smaller --batch-size", 1)
        return _fail(_unforeseen(error), 1)
    if status == INTERRUPTED:
        print(_GO_ON, file=sys.stderr, flush=True)
    return status if isinstance(status, int) else 0


class _Interrupts:
    """Handles Ctrl-C and SIGTERM: the first one ends a command in order, a second one ends it at once.

    Ending in order may have to wait minutes for an epoch to end, so the process ends after a few seconds in any case.
    The study is intact then too, as after a kill, and the MLflow writer finishes by itself.
    """

    def __enter__(self) -> _Interrupts:
        self._first = True
        signal.signal(signal.SIGTERM, self._interrupt)
        # A shell makes the commands that it runs in the background ignore SIGINT.
        self._before = signal.getsignal(signal.SIGINT)
        if self._before == signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(signal, "setitimer") and not self._first:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._before == signal.default_int_handler:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._first:
            self._abandon()
        self._first = False
        if hasattr(signal, "setitimer"):
            signal.signal(signal.SIGALRM, self._abandon)
            signal.setitimer(signal.ITIMER_REAL, _PATIENCE)
        raise KeyboardInterrupt

    def _abandon(self, *_: object) -> NoReturn:
        # Not `print`, which the signal may have interrupted. The escape sequence shows the cursor that the bar has
        # hidden.
        with contextlib.suppress(OSError):
            os.write(2, f"{chr(27)}[?25h\n{_GO_ON}\n".encode() if os.isatty(2) else f"{_GO_ON}\n".encode())
        os._exit(INTERRUPTED)


def _discard_stdout() -> None:
    """Redirect stdout to nowhere, so that Python's own flush at exit does not fail too."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str, status: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _is_memory(error: Exception) -> bool:
    # Torch's error is recognised by its name and message: importing torch would delay every other failure by a second.
    torchs = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or torchs


def _unforeseen(error: Exception) -> str:
    """Return one line for an unexpected error: its type, its message and its place."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    message = clip(f"{type(error).__name__}: {error}", 300)
    return f"{message}{place}; {_FOR_THE_TRACEBACK}"
