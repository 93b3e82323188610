"""The hooks of a technique, guarded: an error inside one names the technique's file, the hook and the line."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from search.errors import RequestError, TechniqueError, clip
from search.technique.technique import Technique

CALLED_WITH = {
    "check": "context",
    "prepare": "data, context",
    "rows": "order, structure",
    "edges": "x, structure",
    "init": "weights, unit, field, values",
    "parameters": "number, width",
    "input_parameters": "features",
    "waves": "structure",
    "branches": "number, structure",
    "mix": "h, number, values",
    "mix_loops.given": "number, h, values",
    "residual": "number, structure",
    "members": "structure",
    "start": "values",
    "input": "x, values",
    "layer": "h, number, values",
    "affine": "number, values",
    "gate": "number, h, values",
    "loops.given": "number, h, values",
    "targets": "targets, values",
    "loss": "batch, values",
    "penalty": "weights, values",
    "gradient": "gradient, weights, values",
    "perturb_inputs": "x, gradient, values",
    "perturb_weights": "weights, gradient, values",
    "schedule": "step, steps, values",
    "rate": "step, steps, values",
    "project": "weights, values",
    "average": "step, steps, values",
    "averages": "structure",
    "metrics": "weights, values",
    "after_epoch": "metrics, values",
}
"""The arguments of each hook, in the order in which it gets them."""
_MAY_REFUSE = ("check", "prepare")


@dataclass(frozen=True)
class Hook:
    """A hook of a technique, which is called as the function itself.

    Attributes:
        function: the function.
        name: the name of the hook.
        technique: the name of its technique.
        file: the file of the technique.
        packaged: whether the technique is in the package.
    """

    function: Callable[..., Any]
    name: str
    technique: str
    file: str
    packaged: bool

    def __call__(self, *given: Any) -> Any:
        """Call the function.

        Raises:
            TechniqueError: the function failed.
        """
        try:
            return self.function(*given)
        except (RequestError, MemoryError, torch.OutOfMemoryError):
            raise  # what is said already, and what a pack of fewer slots may solve
        except Exception as error:
            if "can't allocate memory" in str(error) or self._refuses(error):
                raise
            raise TechniqueError(self._said(error), packaged=self.packaged) from error

    @property
    def place(self) -> str:
        """What errors call the technique: its file, or its name where it was defined in a notebook or a shell."""
        path = Path(self.file)
        if not path.is_file():
            return f"technique {self.technique!r}"
        if self.packaged:
            return f"{path.parent.name}/{path.name}"
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def _refuses(self, error: Exception) -> bool:
        """Return whether the hook says by a `raise` of its own that the technique cannot work here."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        line = linecache.getline(last.filename, last.lineno or 0)
        return self.name in _MAY_REFUSE and isinstance(error, ValueError) and line.strip().startswith("raise")

    def _said(self, error: Exception) -> str:
        """Return an error of the function as one line."""
        what = clip(" ".join(f"{type(error).__name__}: {error}".split()), 300)
        frames = traceback.extract_tb(error.__traceback__)[1:]
        if not frames:
            called = CALLED_WITH.get(self.name)
            return f"{self.place}: hook {self.name!r} failed: {what}" + (
                f"; it is called with ({called})" if called else ""
            )
        own = [frame for frame in frames if _same_file(frame.filename, self.file)]
        frame = own[-1] if own else frames[0]
        where = f"line {frame.lineno}" if own else f"{frame.filename}, line {frame.lineno}"
        return f"{self.place}: hook {self.name!r} failed in {where}: {what}"


def place_of(hook: Callable[..., Any], technique: Technique) -> str:
    """Return what an error says of the place of a hook: its file, or its technique if it is not guarded."""
    return hook.place if isinstance(hook, Hook) else f"technique {technique.name!r}"


def function_of(hook: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Return the function itself of a hook that may be guarded."""
    return hook.function if isinstance(hook, Hook) else hook


def guarded(technique: Technique, file: Path | None = None, *, packaged: bool = False) -> Technique:
    """Return the technique with its hooks guarded.

    Args:
        technique: the technique. Hooks that are guarded already stay as they are.
        file: the file that defines it; by default the one that defines its first hook.
        packaged: whether it is in the package.
    """
    given = {field.name: getattr(technique, field.name) for field in fields(technique)}
    hooks = {name: value for name, value in given.items() if callable(value)}
    source = str(file) if file is not None else _source(next(iter(hooks.values()), None))

    def guard(name: str, function: Callable[..., Any]) -> Hook:
        return function if isinstance(function, Hook) else Hook(function, name, technique.name, source, packaged)

    changed: dict[str, Any] = {name: guard(name, function) for name, function in hooks.items()}
    changed["derive"] = {name: guard(f"derive[{name!r}]", one) for name, one in technique.derive.items()}
    for name in ("loops", "mix_loops"):
        if (loops := getattr(technique, name)) is not None:
            changed[name] = replace(loops, given=guard(f"{name}.given", loops.given))
    return replace(technique, **changed)


def hooks_of(technique: Technique) -> dict[str, Hook]:
    """Return the hooks of a guarded technique by the names of its fields, in their order."""
    found = ((field.name, getattr(technique, field.name)) for field in fields(technique))
    return {name: value for name, value in found if isinstance(value, Hook)}


def _source(function: Callable[..., Any] | None) -> str:
    """Return the file in which a function is defined, or "" if it has none."""
    if isinstance(function, Hook):
        return function.file
    code = getattr(function, "__code__", None)
    return "" if code is None else str(code.co_filename)


def _same_file(one: str, other: str) -> bool:
    return bool(other) and (one == other or Path(one).absolute() == Path(other).absolute())
