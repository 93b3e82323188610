"""Hooks that are watched: each call is inspected, and its results are noted, to be compared between trainings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from search.technique import Batch, Technique, Values
from search.technique.guarded import Hook, hooks_of
from search.technique.shared_state import BY_SEED, BY_VALUES, SharedState
from search.tryout.fault import fault
from search.tryout.results import inspect

Key = tuple[object, ...]


@dataclass
class Watch:
    """The calls of a technique's hooks while one pack trains.

    Attributes:
        device: the device that trains.
        strict: whether each call is inspected.
        calls: what each call left behind, in order: the hook and the tensors that it returned or changed. The key has
            the hook, the layer or field, the point in training, and the number of the call there.
    """

    device: torch.device
    strict: bool
    calls: dict[Key, tuple[Hook, tuple[Tensor, ...]]] = field(default_factory=dict)

    def hooks(self, technique: Technique) -> Technique:
        """Return a guarded technique with its hooks watched."""
        hooks = hooks_of(technique)
        changed: dict[str, Any] = {name: self._watched(hook) for name, hook in hooks.items()}
        for name in ("loops", "mix_loops"):
            loops = getattr(technique, name)
            if loops is not None and isinstance(loops.given, Hook):
                changed[name] = replace(loops, given=self._watched(loops.given))
        return replace(technique, **changed)

    def _watched(self, hook: Hook) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            if not self.strict:
                result = hook(*given)
            else:
                kept, state = _protected(hook.name, given), SharedState.now(self.device)
                result = hook(*given)
                instead = BY_VALUES if isinstance(given[-1], Values) else BY_SEED
                if (said := state.change(SharedState.now(self.device), instead)) is not None:
                    raise fault(hook, said)
                for name, (before, after) in kept.items():
                    if not same(before, after).all():
                        raise fault(
                            hook,
                            f"changes {name} in place, which training still needs as it was: return a new tensor, as"
                            f" {name} * 2 does and {name}.mul_(2) does not",
                        )
                inspect(hook, given, result)
            self._note(hook, given, result)
            return result

        return call

    def _note(self, hook: Hook, given: tuple[Any, ...], result: Any) -> None:
        values = given[-1] if given and isinstance(given[-1], Values) else None
        if values is None:
            return
        left = [given[0]] if hook.name in ("gradient", "project") else _tensors(result)
        if hook.name in ("loops.given", "mix_loops.given"):
            left = []  # part of it is room that the loops write to
        labels = tuple(
            str(getattr(one, "name", one)) for one in given[:-1] if not isinstance(one, Tensor | Batch | Mapping)
        )
        at: Key = (hook.name, labels, values.train, values.epoch, values.step)
        number = 0
        while (*at, number) in self.calls:
            number += 1
        self.calls[*at, number] = hook, tuple(tensor.detach().clone() for tensor in [*left, *values.state.values()])


def same(one: Tensor, other: Tensor) -> Tensor:
    """Return where two tensors are the same, numbers that are not finite included."""
    return (one == other) | ((one != one) & (other != other))


def _protected(name: str, given: tuple[Any, ...]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the arguments that a hook must leave as they are: a copy, and the argument."""
    parts: dict[str, Tensor] = {}
    if name == "loss":
        batch: Batch = given[0]
        parts = {"batch.x": batch.x, "batch.targets": batch.targets, "batch.predictions": batch.predictions}
    elif name in ("layer", "mix"):
        parts = {"h": given[0]}
    elif name in ("penalty", "metrics"):
        parts = {"weights": given[0]}
    elif name == "perturb_inputs":
        parts = {"x": given[0], "gradient": given[1]}
    elif name == "perturb_weights":
        parts = {"weights": given[0], "gradient": given[1]}
    return {what: (tensor.detach().clone(), tensor.detach()) for what, tensor in parts.items()}


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, Mapping):
        return [tensor for tensor in result.values() if isinstance(tensor, Tensor)]
    if isinstance(result, tuple | list):
        return [tensor for tensor in result if isinstance(tensor, Tensor)]
    return []
