"""What the result of one call of a hook must be: its shape, its type, zeros in the padding, gradients of its own slot.

Widths are padded (`search.technique.layout`): padding that is not zero would join the sums of real units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from search.technique import Batch, Values
from search.technique.guarded import Hook
from search.technique.layout import Layout, padded
from search.tryout.fault import fault

Given = Sequence[Any]
_BY_VIEW = "change one parameter at a time, by values.layout.view(tensor, field)[field.inner]"
OF_EVERY_TRIAL = ("train_loss", "train_objective", "lr", "val_loss", "val_objective", "sparsity", "weight_norm")
"""Metrics that training measures itself."""


def inspect(hook: Hook, given: Given, result: Any) -> None:
    """Refuse the result of a call.

    Args:
        hook: the hook.
        given: what it was called with; of hooks that change an argument in place, that argument as it is now.
        result: what it returned.

    Raises:
        Fault: the result is not what training needs.
    """
    if hook.name in _INSPECTED and isinstance(given[-1], Values):
        _INSPECTED[hook.name](hook, given, result, given[-1])


def padding(layout: Layout) -> Tensor:
    """Return which numbers of a slot's row are padding, bool ``(size,)``."""
    real = torch.zeros(1, layout.size, dtype=torch.bool)
    for field in layout.fields:
        layout.view(real, field)[field.inner] = True
    return ~real[0]


def first_padded(buffer: Tensor, layout: Layout) -> str | None:
    """Return the name of the first field whose padding is not zero in ``slots x size``, or None.

    Slots that have diverged are left out: what is not finite spreads into the padding by products with zero.
    """
    buffer = buffer[buffer[:, ~padding(layout).to(buffer.device)].isfinite().all(1)]
    for field in layout.fields:
        stored = layout.view(buffer, field).clone()
        stored[field.inner] = 0.0
        if not bool((stored == 0).all()):
            return field.name
    return None


def _tensor(hook: Hook, result: Any, shapes: Mapping[str, Sequence[int]], values: Values, what: str = "it") -> Tensor:
    """Return a result that is a tensor of one of these shapes, in the weights' type and on their device."""
    right = " or ".join(f"{words} = {tuple(shape)}" for words, shape in shapes.items())
    returned = "returns" if what == "it" else f"returns as {what}"
    if not isinstance(result, Tensor):
        raise fault(hook, f"{returned} {type(result).__name__}, where a tensor {right} is right")
    if tuple(result.shape) not in [tuple(shape) for shape in shapes.values()]:
        raise fault(hook, f"{returned} a tensor of shape {tuple(result.shape)}, where {right} is right")
    if result.dtype != values.dtype:
        name = str(values.dtype).removeprefix("torch.")
        raise fault(hook, f"{returned} {str(result.dtype).removeprefix('torch.')}, where {name} is right: .to({name})")
    if result.device != values.device:
        raise fault(hook, f"{returned} a tensor on {result.device}, where {values.device} is right: values.device")
    return result


def _batchwise(hook: Hook, given: Tensor, result: Any, values: Values, width: int, shared: bool, what: str) -> None:
    groups = int(values.group_of.max()) + 1
    shapes = {f"slots x batch x {what}": (values.slots, *given.shape[1:])}
    if shared:
        shapes = {f"groups x batch x {what}": (groups, *given.shape[1:])} | shapes
    found = _tensor(hook, result, shapes, values)
    sound = bool((given[..., width:] == 0).all()) and bool(given.isfinite().all())
    if sound and not bool((found[..., width:] == 0).all()):
        raise fault(
            hook,
            f"makes the padding nonzero: only the first {width} of {found.shape[-1]} {what} are real, and the others"
            f" must stay 0, so change [..., :{width}] alone (the widths are values.layout.widths)",
        )


def _input(hook: Hook, given: Given, result: Any, values: Values) -> None:
    _batchwise(hook, given[0], result, values, values.layout.features, True, "features")


def _targets(hook: Hook, given: Given, result: Any, values: Values) -> None:
    _batchwise(hook, given[0], result, values, values.layout.widths[-1], True, "outputs")


def _layer(hook: Hook, given: Given, result: Any, values: Values) -> None:
    h, number = given[0], int(given[1])
    width = values.layout.widths[number] if number else values.layout.features
    _batchwise(hook, h, result, values, width, number == 0, "units" if number else "features")


def _mix(hook: Hook, given: Given, result: Any, values: Values) -> None:
    h, number = given[0], int(given[1])
    _batchwise(hook, h[0], result, values, values.layout.widths[number], False, "units")


def _init(hook: Hook, given: Given, result: Any, values: Values) -> None:
    _tensor(hook, result, {"slots x shape": tuple(given[0].shape)}, values)


def _each_slot(hook: Hook, given: Given, result: Any, values: Values) -> None:
    term = _tensor(hook, result, {"(slots,)": (values.slots,)}, values)
    if not torch.is_grad_enabled():
        return
    if not term.requires_grad:
        from_what = "the predictions" if isinstance(given[0], Batch) else "the weights"
        raise fault(
            hook,
            "returns a term without a gradient, which cannot train anything: compute it in torch from"
            f" {from_what} that it is given, without .detach(), .data, .item() or torch.no_grad",
        )
    if isinstance(given[0], Tensor):
        _gradient_of_penalty(hook, given[0], term, values)


def _gradient_of_penalty(hook: Hook, weights: Tensor, term: Tensor, values: Values) -> None:
    (all_,) = torch.autograd.grad(term.sum(), weights, retain_graph=True, allow_unused=True)
    if all_ is None:
        return
    if (name := first_padded(all_, values.layout)) is not None:
        raise fault(
            hook,
            f"has a gradient in the padding of {name}, where weights must stay 0: take one parameter at a time, by"
            " values.layout.view(weights, field)[field.inner]",
        )
    (first,) = torch.autograd.grad(term[0], weights, retain_graph=True)
    if not bool((first[1:] == 0).all()):
        raise fault(
            hook,
            "adds to a slot's penalty what depends on the weights of its neighbours: sum over the weights (dim 1), not"
            " over the slots (dim 0)",
        )


def _rate(hook: Hook, _given: Given, result: Any, values: Values) -> None:
    slots = values.slots
    shapes = {"(slots,)": (slots,), "slots x size": (slots, values.layout.size), "slots x 1": (slots, 1)}
    _tensor(hook, result, shapes, values)


def _in_place(hook: Hook, given: Given, result: Any, values: Values) -> None:
    changed: Tensor = given[0]
    if isinstance(result, Tensor) and result.untyped_storage().data_ptr() != changed.untyped_storage().data_ptr():
        name = "gradient" if hook.name == "gradient" else "weights"
        raise fault(
            hook, f"returns a new tensor, which nothing reads: change {name} in place, as {name}.mul_(0.5) does"
        )
    if (name_ := first_padded(changed, values.layout)) is not None:
        raise fault(hook, f"makes the padding of {name_} nonzero: {_BY_VIEW}")


def _perturbed_inputs(hook: Hook, given: Given, result: Any, values: Values) -> None:
    _batchwise(hook, given[0], result, values, values.layout.features, False, "features")


def _perturbed_weights(hook: Hook, given: Given, result: Any, values: Values) -> None:
    found = _tensor(hook, result, {"slots x size": tuple(given[0].shape)}, values)
    if (name := first_padded(found, values.layout)) is not None:
        raise fault(hook, f"makes the padding of {name} nonzero: {_BY_VIEW}")


def _shares(hook: Hook, _given: Given, result: Any, values: Values) -> None:
    # The number of averages is what the first dimension says; `averages` is held to it as training begins.
    several = tuple(result.shape) if isinstance(result, Tensor) and result.ndim == 2 else (1, values.slots)
    shapes = {"(slots,)": (values.slots,), "averages x slots": (several[0], values.slots)}
    _tensor(hook, result, shapes, values)


def _start(hook: Hook, _given: Given, result: Any, values: Values) -> None:
    if not isinstance(result, dict):
        raise fault(hook, f"returns {type(result).__name__}, where a dict of tensors, the state by name, is right")
    for name, tensor in result.items():
        if not isinstance(tensor, Tensor):
            raise fault(hook, f"returns {name!r} as {type(tensor).__name__}, where a tensor is right")
        if tensor.ndim == 0 or len(tensor) != values.slots:
            right = f"a first dimension of slots = {values.slots} is right"
            raise fault(hook, f"returns {name!r} with shape {tuple(tensor.shape)}, where {right}")
        if tensor.device != values.device:
            raise fault(hook, f"returns {name!r} on {tensor.device}, where {values.device} is right: values.device")


def _metrics(hook: Hook, _given: Given, result: Any, values: Values) -> None:
    if not isinstance(result, Mapping):
        raise fault(hook, f"returns {type(result).__name__}, where metrics by name are right")
    for name, tensor in result.items():
        if not isinstance(tensor, Tensor) or tuple(tensor.shape) != (values.slots,):
            shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else type(tensor).__name__
            raise fault(hook, f"returns {name!r} as {shape}, where a tensor (slots,) = ({values.slots},) is right")
        if name in OF_EVERY_TRIAL:
            raise fault(hook, f"returns {name!r}, which training measures itself: give the metric another name")


def _after_epoch(hook: Hook, _given: Given, result: Any, values: Values) -> None:
    if result is None:
        return
    if not isinstance(result, Tensor) or result.dtype != torch.bool or tuple(result.shape) != (values.slots,):
        found = f"{tuple(result.shape)} {result.dtype}" if isinstance(result, Tensor) else type(result).__name__
        raise fault(
            hook,
            f"returns {found}, where None or a bool tensor (slots,) = ({values.slots},), the slots to stop, is right",
        )


def _affine(hook: Hook, given: Given, result: Any, values: Values) -> None:
    if result is None:
        return
    if not isinstance(result, tuple) or len(result) != 2:
        raise fault(hook, f"returns {type(result).__name__}, where a pair (scale, shift) or None is right")
    number = int(given[0])
    width = values.layout.weight(number).stored[0] if number else padded(values.layout.features)
    for name, tensor in zip(("scale", "shift"), result, strict=True):
        _tensor(hook, tensor, {"slots x padded width": (values.slots, width)}, values, name)


_INSPECTED: Mapping[str, Callable[[Hook, Given, Any, Values], None]] = {
    "init": _init,
    "start": _start,
    "input": _input,
    "mix": _mix,
    "layer": _layer,
    "affine": _affine,
    "targets": _targets,
    "loss": _each_slot,
    "penalty": _each_slot,
    "gradient": _in_place,
    "perturb_inputs": _perturbed_inputs,
    "perturb_weights": _perturbed_weights,
    "rate": _rate,
    "project": _in_place,
    "average": _shares,
    "metrics": _metrics,
    "after_epoch": _after_epoch,
}
