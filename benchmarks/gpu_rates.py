"""What the device can do: copies, and products of the shapes that a pack multiplies."""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from importlib import metadata
from typing import Any, get_args

import measure
import torch
from gpu_section import Section
from race import seconds
from torch import Tensor

from search.train.precision import Precision, products

_ROUNDS = 7
_LEAST = 0.02  # seconds of a round
_LEARN = 2  # calls that warm up


def device(section: Section) -> None:
    """Name the device, and measure its copies and products."""
    section.tell(**_described(section.device))
    elements = 2**20 if section.small else 2**29
    section.row({"what": "copy of float32 numbers", "elements": elements}, partial(_copy, elements, section.device))
    inputs, units, batch = (64, 16, 32) if section.small else (3072, 128, 1024)
    side = 128 if section.small else 8192
    for precision in get_args(Precision):
        if precision == "tf32" and section.device.type == "cpu":
            continue
        what = {"what": "mm of square matrices", "side": side, "precision": precision}
        section.row(what, partial(_square, side, precision, section.device))
        for slots in (4,) if section.small else (1, 16, 64, 256):
            shape = {"slots": slots, "batch": batch, "inputs": inputs, "units": units, "precision": precision}
            for words, operands in _PRODUCTS.items():
                work = partial(_product, operands, slots, batch, inputs, units, precision, section.device)
                section.row({"what": words, **shape}, work)


def _described(device: torch.device) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": measure.machine(), "versions": measure.versions()}
    try:
        found["versions"]["triton"] = metadata.version("triton")
    except metadata.PackageNotFoundError:
        found["versions"]["triton"] = "not installed"
    if device.type == "cpu":
        return found | {"name": platform.processor() or platform.machine()}
    about = torch.cuda.get_device_properties(device)
    return found | {
        "name": about.name,
        "memory_bytes": about.total_memory,
        "multiprocessors": about.multi_processor_count,
        "compute_capability": f"{about.major}.{about.minor}",
        "cuda": torch.version.cuda,
    }


def _rounds(work: Callable[[], object], device: torch.device) -> list[float]:
    """Return the seconds of a call in each of some rounds, for which it is called again and again."""

    def calls(count: int) -> Callable[[], None]:
        def several() -> None:
            for _ in range(count):
                work()

        return several

    seconds(device, calls(_LEARN))
    count = max(1, round(_LEAST / seconds(device, calls(1))))
    return [seconds(device, calls(count)) / count for _ in range(_ROUNDS)]


def _copy(elements: int, device: torch.device) -> dict[str, Any]:
    source = torch.zeros(elements, device=device)
    target = torch.empty_like(source)
    taken = _rounds(lambda: target.copy_(source), device)
    moved = 2 * source.numel() * source.element_size()  # what is read and what is written
    return {"gb_per_second": measure.summary([moved / one / 1e9 for one in taken])}


def _square(side: int, precision: Precision, device: torch.device) -> dict[str, Any]:
    a, b = torch.randn(2, side, side, device=device, dtype=_type(precision))
    out = torch.empty_like(a)
    return _rate(lambda: torch.mm(a, b, out=out), 2 * side**3, precision, device)


def _product(
    make: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
    slots: int,
    batch: int,
    inputs: int,
    units: int,
    precision: Precision,
    device: torch.device,
) -> dict[str, Any]:
    dtype = _type(precision)
    x = torch.randn(batch, inputs, device=device, dtype=dtype)
    weights = torch.randn(slots, inputs, units, device=device, dtype=dtype)
    gradients = torch.randn(slots, batch, units, device=device, dtype=dtype)
    a, b = make(x, weights, gradients)
    work = torch.bmm if a.dim() == 3 else torch.mm
    out = work(a, b)
    return _rate(lambda: work(a, b, out=out), 2 * slots * batch * inputs * units, precision, device)


_PRODUCTS: dict[str, Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "bmm, one minibatch expanded": lambda x, weights, _: (x.expand(len(weights), -1, -1), weights),
    "bmm, a minibatch for each slot": lambda x, weights, _: (x.repeat(len(weights), 1, 1), weights),
    "bmm, gradients of weights, one minibatch expanded": lambda x, _, gradients: (
        x.T.expand(len(gradients), -1, -1),
        gradients,
    ),
    "mm, all slots side by side": lambda x, weights, _: (x, weights.permute(1, 0, 2).reshape(x.shape[1], -1)),
}
"""The operands of each product, from inputs ``batch x inputs``, weights ``slots x inputs x units`` and gradients of the
outputs ``slots x batch x units``."""


def _rate(work: Callable[[], object], flops: int, precision: Precision, device: torch.device) -> dict[str, Any]:
    with products(precision, device):
        taken = _rounds(work, device)
    return {"tflop_per_second": measure.summary([flops / one / 1e12 for one in taken])}


def _type(precision: Precision) -> torch.dtype:
    return torch.bfloat16 if precision == "bf16" else torch.float32
