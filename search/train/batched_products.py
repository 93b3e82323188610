"""A pack's products on a GPU: all slots share one batched product for each layer.

Gradients of weights go straight into the flat buffer of all gradients. cuBLAS takes a view of it as it is, because the
last two dimensions are contiguous and the distance of two slots is free; torch passes such a view on without a copy.
In bfloat16 products are summed and written in float32, so gradients are not rounded on the way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from search.train.torch_products import TorchProducts


class BatchedProducts(TorchProducts):
    """`TorchProducts` with batched products."""

    def _linear(self, layer: int, x: Tensor) -> Tensor:
        weight, bias = self._weights[layer], self._biases[layer]
        out = x.new_empty(self.slots, x.shape[1], weight.shape[2])
        for inputs, rows in self._by_group(x):
            torch.baddbmm(bias[rows], inputs, weight[rows], out=out[rows])
        return out

    def _add_weight_gradient(self, layer: int, x: Tensor, gradient: Tensor) -> None:
        for inputs, rows in self._by_group(x):
            into = self._weight_gradients[layer][rows]
            _product(inputs.transpose(1, 2), gradient[rows], into, adds=self._written[layer])

    def _multiply(self, a: Tensor, b: Tensor, out: Tensor) -> None:
        torch.bmm(a, b, out=out)

    def _by_group(self, x: Tensor) -> list[tuple[Tensor, slice]]:
        """Return each group's minibatch, expanded to its slots without a copy, and its slots."""
        if len(x) == self.slots:
            return [(x, slice(None))]
        return [(x[g].expand(rows.stop - rows.start, -1, -1), rows) for g, rows in enumerate(self._groups)]


def _product(a: Tensor, b: Tensor, into: Tensor, *, adds: bool) -> None:
    """Write the products of two batches of matrices, or add them to what is there.

    Args:
        a, b: the matrices, ``batch x n x k`` and ``batch x k x m``, of one type.
        into: where they go, ``batch x n x m``, of that type; or float32 for matrices in bfloat16.
        adds: whether they are added.
    """
    if a.dtype != into.dtype:
        if adds:
            into.add_(torch.bmm(a, b, out_dtype=into.dtype))
        else:
            torch.bmm(a, b, out_dtype=into.dtype, out=into)
    elif adds:
        into.baddbmm_(a, b)
    else:
        torch.bmm(a, b, out=into)
