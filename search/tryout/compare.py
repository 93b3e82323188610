"""Trainings of the same slots, in different company, that must agree: their hooks' results, curves and weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from search.technique.guarded import Hook
from search.train.pack import Pack
from search.tryout.bench import EPOCHS
from search.tryout.watch import Watch, same

_ROUNDING = 1e-5
"""The relative difference of results that rounding explains."""
_ON_A_GPU = 1e-3


@dataclass
class Training:
    """A pack that has trained.

    Attributes:
        pack: the pack.
        watch: the calls of the technique's hooks.
        curves: the metrics of each epoch by name, each ``(slots,)``.
    """

    pack: Pack
    watch: Watch
    curves: list[dict[str, Tensor]]

    def place(self, trial: int, replicate: int) -> int:
        """Return the place of a slot in the pack."""
        return next(at for at, one in enumerate(self.pack.slots) if (one.trial, one.replicate) == (trial, replicate))

    def group(self, replicate: int) -> int:
        """Return the number of a replicate's group."""
        return sorted({slot.replicate for slot in self.pack.slots}).index(replicate)


def trained(pack: Pack, watch: Watch, epochs: int = EPOCHS) -> Training:
    """Train a pack whose technique is watched."""
    curves = [pack.run_epoch() for _ in range(epochs)]
    return Training(pack, watch, curves)


@dataclass(frozen=True)
class Difference:
    """The first difference between two trainings of a slot.

    Attributes:
        hook: the hook whose result differs; None if only curves or weights do.
        rounding: whether rounding explains it.
    """

    hook: Hook | None
    rounding: bool


def difference(one: Training, other: Training, slots: Sequence[tuple[int, int, int]]) -> Difference | None:
    """Return the first difference between slots of two trainings, or None.

    On the CPU they must have the same bits; on a GPU they must agree to 1e-3 relative.

    Args:
        one, other: the trainings. The other one may have fewer epochs, the last ones.
        slots: for each slot the number of its trial in one and in the other training, and its replicate.
    """
    for key, (hook, left) in one.watch.calls.items():
        if key not in other.watch.calls:
            continue
        for a, b in zip(left, other.watch.calls[key][1], strict=False):
            for trial, trial_there, replicate in slots:
                pair = _row(one, a, trial, replicate), _row(other, b, trial_there, replicate)
                if (found := _differ(*pair)) is not None:
                    return Difference(hook, found)
    later = one.curves[len(one.curves) - len(other.curves) :]
    for trial, trial_there, replicate in slots:
        i, j = one.place(trial, replicate), other.place(trial_there, replicate)
        pairs = [(a[name][i], b[name][j]) for a, b in zip(later, other.curves, strict=True) for name in a if name in b]
        pairs.append((one.pack.state["theta"][i], other.pack.state["theta"][j]))
        for a, b in pairs:
            if (found := _differ(a, b)) is not None:
                return Difference(None, found)
    return None


def _row(training: Training, tensor: Tensor, trial: int, replicate: int) -> Tensor | None:
    """Return a slot's part of a tensor ``slots x ...`` or ``groups x ...``; None if it has none."""
    replicates = {slot.replicate for slot in training.pack.slots}
    if tensor.ndim and len(tensor) == len(training.pack.slots):
        return tensor[training.place(trial, replicate)]
    if tensor.ndim and len(tensor) == len(replicates):
        return tensor[training.group(replicate)]
    return None


def _differ(one: Tensor | None, other: Tensor | None) -> bool | None:
    """Return None if two rows agree, else whether rounding explains the difference."""
    if one is None or other is None or one.shape != other.shape or bool(same(one, other).all()):
        return None
    both = one.isfinite() & other.isfinite()
    if not one.is_floating_point() or not bool((both | same(one, other)).all()):
        return False
    a, b = one[both].double(), other[both].double()
    error = float((a - b).norm() / a.norm().clamp(min=1e-30))
    if one.device.type != "cpu" and error <= _ON_A_GPU:
        return None
    return error <= _ROUNDING
