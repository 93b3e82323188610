"""The precision of matrix products; weights, gradients, the optimiser and losses are float32 in any case.

fp32   float32 throughout, the default; on the CPU a slot's results are the same to the bit wherever it trains
tf32   the tensor cores of a GPU, which round the inputs of products to 10 bits; sums are float32
bf16   activations and products in bfloat16 (8 bits), sums in float32; each step copies the weights to bfloat16 and
       updates the float32 weights (Micikevicius et al., "Mixed precision training", ICLR 2018)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from search.errors import RequestError

Precision = Literal["fp32", "tf32", "bf16"]


def validate_precision(precision: Precision, device: torch.device) -> None:
    """Refuse a precision that the device does not have.

    Raises:
        RequestError: tf32 was asked for and the device is not a CUDA device.
    """
    if precision == "tf32" and device.type != "cuda":
        raise RequestError(f"precision tf32 takes a CUDA device, got {device.type}, which allows fp32 and bf16")


def compute_type(precision: Precision, weights: torch.dtype) -> torch.dtype:
    """Return the type of activations and of the inputs of products."""
    return torch.bfloat16 if precision == "bf16" else weights


@contextmanager
def products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Set how a GPU computes float32 products, whatever the surrounding program has set, and restore it on exit.

    The GPU is torch's current one meanwhile, on which kernels start that are not torch's.
    """
    if device.type != "cuda":
        yield
        return
    before, matmul = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul
    partial = matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    # Otherwise the partial sums of a long product are rounded to bfloat16 before they are added.
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        with nullcontext() if device.index is None else torch.cuda.device(device):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
        matmul.allow_bf16_reduced_precision_reduction = partial
