"""In which precision products are computed; weights, gradients, optimiser and losses are float32 in any case.

fp32   float32 throughout, the default: on the CPU to the bit, wherever a slot trains
tf32   a GPU's tensor cores with inputs of products rounded to 10 bits; sums in float32
bf16   activations and products in bfloat16, 8 bits, with sums in float32; a copy of the weights in bfloat16 is made at
       each step, the float32 ones are updated (Micikevicius et al., "Mixed precision training", ICLR 2018)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from search.errors import RequestError

Precision = Literal["fp32", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


def confirm(precision: Precision, device: torch.device) -> None:
    """Refuse what a device does not have.

    Raises:
        RequestError: TF32 elsewhere than on a GPU.
    """
    if precision == "tf32" and device.type != "cuda":
        raise RequestError(f"precision tf32 takes a CUDA device, got {device.type}: allowed there: fp32, bf16")


def compute_type(precision: Precision, weights: torch.dtype) -> torch.dtype:
    """The type of activations and of what products take."""
    return torch.bfloat16 if precision == "bf16" else weights


@contextmanager
def products(precision: Precision, device: torch.device) -> Iterator[None]:
    """While it is entered, a GPU computes float32 products as asked for, whatever the program around it has set."""
    if device.type != "cuda":
        yield
        return
    before, matmul = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul
    partial = matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    # Else the partial sums of a long product are rounded to bfloat16 before they are added.
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        matmul.allow_bf16_reduced_precision_reduction = partial
