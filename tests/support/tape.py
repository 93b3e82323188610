"""A stand-in for a CUDA graph on the CPU: it records a work's operations, and does them again on the same memory.

As with a graph, Python does not run again in a replay: numbers that it had put in are frozen, and tensors that it has
put elsewhere since are not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # it has no public name
from torch.utils._pytree import tree_leaves  # it has no public name

from search.train.graphs import Work

Operation = tuple[Any, Sequence[Any], Mapping[str, Any], Any]


class _Watch(TorchDispatchMode):
    """Keeps the operations that are done, and whether one of them has read a number."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.changed: list[tuple[Tensor, Tensor]] = []
        self.reads = False

    def __torch_dispatch__(
        self, function: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        given = [*zip(function._schema.arguments, args, strict=False)]
        given += [(one, named[one.name]) for one in function._schema.arguments if one.name in named]
        for argument, value in given:
            if argument.alias_info is not None and argument.alias_info.is_write:
                self.changed += [(one, one.clone()) for one in tree_leaves(value) if isinstance(one, Tensor)]
        out = function(*args, **named)
        self.reads |= isinstance(out, bool | int | float)
        self.operations.append((function, args, named, out))
        return out


class Tape:
    """Recorded work; see `search.train.graphs.Recording`."""

    recorded = 0
    """The number of works that have been recorded."""

    def __init__(self, work: Work) -> None:
        watch = _Watch()
        with watch:
            self.result = work()
        self._operations = watch.operations
        # What is recorded is not done.
        for tensor, before in reversed(watch.changed):
            tensor.data.copy_(before)
        Tape.recorded += 1

    @torch.no_grad()
    def replay(self) -> None:
        for function, args, named, out in self._operations:
            again = function(*args, **named)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.data.copy_(new)

    @staticmethod
    def tried(work: Work) -> tuple[dict[str, Tensor], bool]:
        """Do the work; return its result, and whether Python has read no number."""
        watch, numpy = _Watch(), Tensor.numpy

        def read(tensor: Tensor, **options: Any) -> Any:
            watch.reads = True
            return numpy(tensor, **options)

        with watch, mock.patch.object(Tensor, "numpy", read):
            result = work()
        return result, not watch.reads
