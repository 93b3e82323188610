"""Where progress is shown: a bar on a terminal, one line in a notebook, lines elsewhere. All of it goes to stderr.

In a notebook the line is overwritten as the work goes on, so that the notebook is saved with the last one. Elsewhere
lines are rare, because a file keeps them all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import Progress, ProgressColumn
from rich.text import Text

_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_UPDATES = 0.5
# The share of the time so far, so that a run of hours does not fill pages with lines that say the same.
_SHARE_BETWEEN_LINES = 0.05


class Display:
    """A bar, or lines in its place.

    Args:
        columns: the columns of the bar.
        transient: whether the bar disappears at its end.

    Attributes:
        live: whether there is a bar. Elsewhere the caller shows a line about the state of the work when `is_due`.
        lines: the lines below the bar.
    """

    def __init__(self, *columns: ProgressColumn, transient: bool = False) -> None:
        self._console = Console(stderr=True)
        # In a notebook rich draws with ipywidgets, which may not be installed and are not saved with the notebook.
        self._notebook = _NotebookLine() if self._console.is_jupyter else None
        self.live = self._console.is_terminal and self._notebook is None
        self._bar = _Bar(
            *columns, console=self._console, disable=not self.live, refresh_per_second=5, transient=transient
        )
        self._between, self._share = _SECONDS_BETWEEN_LINES, _SHARE_BETWEEN_LINES
        if self._notebook is not None:
            self._between, self._share = _SECONDS_BETWEEN_UPDATES, 0.0
        self._start = self._last_line = time.monotonic()

    @property
    def in_notebook(self) -> bool:
        """Whether a line replaces the one before."""
        return self._notebook is not None

    @property
    def seconds(self) -> float:
        """The seconds since this object was made."""
        return time.monotonic() - self._start

    @property
    def lines(self) -> Sequence[str]:
        return self._bar.lines

    @lines.setter
    def lines(self, lines: Sequence[str]) -> None:
        self._bar.lines = lines

    def begin(self, what: str, total: int, done: int = 0) -> None:
        """Show the bar."""
        self._bar.start()
        self._task = self._bar.add_task(what, total=total, completed=done)

    def update(self, **fields: Any) -> None:
        """Change the bar's ``total``, ``completed`` or ``description``."""
        self._bar.update(self._task, **fields)

    def end(self) -> None:
        """Show the bar for the last time."""
        self._bar.stop()

    def is_due(self) -> bool:
        """Return whether it is time for the next line about the state of the work; if so, count its interval anew."""
        now = time.monotonic()
        due = now - self._last_line > max(self._between, self._share * (now - self._start))
        self._last_line = now if due else self._last_line
        return due

    def show(self, line: str) -> None:
        """Show a line: above the bar, in place of the notebook's line before, or after all others."""
        if self._notebook is None:
            self._console.print(Text(line), soft_wrap=True)
        else:
            self._notebook.show(line)


class _Bar(Progress):
    """A bar with lines below it, each cut where the terminal ends."""

    lines: Sequence[str] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for line in self.lines:
            yield Text(line, no_wrap=True, overflow="ellipsis")


class _NotebookLine:
    """A line in the output of a notebook cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, line: str) -> None:
        """Replace the line before by this one."""
        import IPython.display

        display: Any = IPython.display.display  # untyped
        text = {"text/plain": line}
        if self._handle is None:
            self._handle = display(text, raw=True, display_id=True)
        else:
            self._handle.update(text, raw=True)
