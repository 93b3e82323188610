"""Tensors that say they are on a GPU and have shapes, but no numbers: what trains with them never mixes devices.

torch computes with them on any machine. Only its backward pass asks for a real GPU, so `backward` goes through
autograd's graph in its place. It calls each function of the graph, those of the package and those of torch.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode  # it has no public name

from search.train import graphs
from search.train.batches import Batches

CUDA = torch.device("cuda", 0)


@contextmanager
def fake_tensors() -> Iterator[FakeTensorMode]:
    """Return a mode, inside which tensors of any device have no numbers; leave no such tensor in a cache."""
    _clear_caches()
    # The data of a test are made before, and become fake where they are used.
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    try:
        # Without a driver there are neither graphs nor pinned memory.
        with (
            mock.patch.object(graphs, "recorder", return_value=None),
            mock.patch.object(Tensor, "pin_memory", _as_is),
        ):
            yield mode
    finally:
        _clear_caches()


def _as_is(tensor: Tensor) -> Tensor:
    return tensor


def on_cuda(batches: Batches) -> Batches:
    """Return data of the CPU, of one fold and scale, as fake data on a GPU; call it inside the mode."""
    moved, inputs = copy(batches), copy(batches.inputs)
    for one in (moved, inputs):
        for name, value in vars(one).items():
            if isinstance(value, Tensor):
                setattr(one, name, value.to(CUDA))
    moved.device, moved.inputs, moved.folds, moved.scales = CUDA, inputs, (moved,), {}
    return moved


@torch.no_grad()
def backward(tensors: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Do what `torch.autograd.backward` does, for fake tensors on a GPU."""
    # The gradients in the outputs of each function, by its place among them.
    given: dict[Any, dict[int, Tensor]] = {}

    def give(function: Any, place: int, gradient: Tensor) -> None:
        of_function = given.setdefault(function, {})
        of_function[place] = of_function[place] + gradient if place in of_function else gradient

    for tensor, gradient in zip(tensors, gradients, strict=True):
        give(tensor.grad_fn, tensor.output_nr, gradient)
    for function in _in_order([tensor.grad_fn for tensor in tensors]):
        outputs = function._input_metadata  # it has no public name
        found = given.pop(function, {})
        # As autograd does, sum what was broadcast, and give a gradient the type of what it belongs to.
        received = [
            None if (one := found.get(place)) is None else one.sum_to_size(of.shape).to(of.dtype)
            for place, of in enumerate(outputs)
        ]
        for one in received:
            assert one is None or one.device == CUDA, f"{function} gets a gradient on {one.device}"
        if hasattr(function, "variable"):  # a leaf
            (one,) = received
            leaf = function.variable
            leaf.grad = one if leaf.grad is None or one is None else leaf.grad + one
            continue
        edges = [*function.next_functions]
        if isinstance(function, torch.autograd.function.BackwardCFunction):
            returned: Any = function.apply(*received)  # type: ignore[no-untyped-call]
            # There is one for each argument, of which only tensors have an edge.
            passed = [one for one, needed in zip(returned, function.needs_input_grad, strict=True) if needed]
            edges = [edge for edge in edges if edge[0] is not None]
        else:
            returned = function(*received)
            passed = [*returned] if isinstance(returned, tuple) else [returned]
        for (into, place), one in zip(edges, passed, strict=True):
            if into is not None and one is not None:
                give(into, place, one)


def _in_order(roots: Sequence[Any]) -> list[Any]:
    """Return the functions of a graph, each one after all from which it gets gradients."""
    waits: dict[Any, int] = dict.fromkeys(roots, 0)
    unseen = deque(waits)
    while unseen:
        for function, _ in unseen.popleft().next_functions:
            if function is not None:
                if function not in waits:
                    unseen.append(function)
                waits[function] = waits.get(function, 0) + 1
    ready, order = deque(one for one, count in waits.items() if count == 0), []
    while ready:
        order.append(ready.popleft())
        for function, _ in order[-1].next_functions:
            if function is not None:
                waits[function] -= 1
                if waits[function] == 0:
                    ready.append(function)
    return order


def _clear_caches() -> None:
    """Forget what the package's functions have kept, such as a table on a device."""
    for name, module in list(sys.modules.items()):
        if name.startswith("search.train."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
