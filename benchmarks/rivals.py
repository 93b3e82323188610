"""Other ways to train many networks, with which `engine.py` and `gpu.py` compare the package.

Each trains networks of one shape with Adam, on minibatches of rows that lie on the device, and takes the same number of
steps. All leave out what they can: no DataLoader, no `item()`, no metrics. In bf16 they train with torch's autocast, in
tf32 by torch's setting, which the caller makes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search.train.precision import Precision

LR = 1e-3


@dataclass(frozen=True)
class Rows:
    """Training data on the device: features ``rows x features``, class numbers ``(rows,)``; and how they are used.

    Attributes:
        batch: the rows of a minibatch.
        precision: the precision of products.
    """

    x: Tensor
    y: Tensor
    batch: int
    precision: Precision = "fp32"

    @property
    def steps(self) -> int:
        """The number of steps of an epoch; every minibatch is full."""
        return len(self.x) // self.batch

    def mixed(self) -> AbstractContextManager[None]:
        """Return the context for the computation of a loss; weights are float32 in any precision."""
        # Weights that the cache keeps would be those of another replay of a CUDA graph.
        bf16 = self.precision == "bf16"
        return torch.autocast(self.x.device.type, torch.bfloat16, enabled=bf16, cache_enabled=False)

    def order(self) -> list[Tensor]:
        """Draw the rows of each minibatch of an epoch."""
        return list(torch.randperm(len(self.x), device=self.x.device).split(self.batch))


def network(widths: tuple[int, ...]) -> nn.Sequential:
    """Return a multilayer perceptron with leaky ReLUs between its linear layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


class Serial:
    """One network in a plain loop: `nn.Sequential`, `torch.optim.Adam`, one step at a time."""

    slots = 1

    def __init__(self, widths: tuple[int, ...], rows: Rows, *, fused: bool = False) -> None:
        self._rows = rows
        self._model = network(widths).to(rows.x.device)
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=LR, fused=fused or None)

    def epoch(self) -> None:
        for chosen in self._rows.order():
            self._optimiser.zero_grad()
            self._loss(self._rows.x[chosen], self._rows.y[chosen]).backward()
            self._optimiser.step()

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        with self._rows.mixed():
            return F.cross_entropy(self._model(x), y)


class Tuned(Serial):
    """One network in a tuned loop: the optimiser is fused, and on a GPU every step replays one CUDA graph."""

    def __init__(self, widths: tuple[int, ...], rows: Rows) -> None:
        super().__init__(widths, rows, fused=True)
        self._graph: torch.cuda.CUDAGraph | None = None
        if rows.x.is_cuda:
            self._capture(widths)

    def _capture(self, widths: tuple[int, ...]) -> None:
        rows = self._rows
        self._optimiser = torch.optim.Adam(self._model.parameters(), lr=LR, fused=True, capturable=True)
        self._x = torch.zeros(rows.batch, widths[0], device=rows.x.device)
        self._y = torch.zeros(rows.batch, dtype=torch.int64, device=rows.x.device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._step()

    def _step(self) -> None:
        self._optimiser.zero_grad(set_to_none=True)
        self._loss(self._x, self._y).backward()
        self._optimiser.step()

    def epoch(self) -> None:
        if self._graph is None:
            super().epoch()
            return
        for chosen in self._rows.order():
            torch.index_select(self._rows.x, 0, chosen, out=self._x)
            torch.index_select(self._rows.y, 0, chosen, out=self._y)
            self._graph.replay()


class Vmap:
    """Many networks, stacked by `torch.func`: `vmap` of the gradient, `torch.optim.Adam` over the stack.

    Source: the model ensembling tutorial of torch.func.
    """

    def __init__(self, widths: tuple[int, ...], rows: Rows, slots: int) -> None:
        self.slots, self._rows = slots, rows
        models = [network(widths).to(rows.x.device) for _ in range(slots)]
        stacked, _ = torch.func.stack_module_state(models)
        self._weights: dict[str, Tensor] = stacked
        base = models[0]

        def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            with rows.mixed():
                return F.cross_entropy(torch.func.functional_call(base, weights, (x,)), y)

        self._gradients: Callable[..., Any] = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None))
        self._optimiser = torch.optim.Adam(self._weights.values(), lr=LR)

    def epoch(self) -> None:
        for chosen in self._rows.order():
            gradients = self._gradients(self._weights, self._rows.x[chosen], self._rows.y[chosen])
            for name, weight in self._weights.items():
                weight.grad = gradients[name]
            self._optimiser.step()


class Fused:
    """Many networks, fused as in HFTA: `baddbmm` for every layer, and Adam with a learning rate for each network.

    Source: Wang et al., "Horizontally fused training array" (MLSys 2021).
    """

    def __init__(self, widths: tuple[int, ...], rows: Rows, slots: int) -> None:
        self.slots, self._rows = slots, rows
        device = rows.x.device
        self._weights: list[Tensor] = []
        for inputs, outputs in pairwise(widths):
            bound = inputs**-0.5
            for shape in ((slots, inputs, outputs), (slots, 1, outputs)):
                weight = torch.empty(shape, device=device).uniform_(-bound, bound)
                self._weights.append(weight.requires_grad_())
        self._moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in self._weights]
        self._lr = torch.full((slots, 1, 1), LR, device=device)
        self._beta1 = torch.full_like(self._lr, 0.9)
        self._beta2 = torch.full_like(self._lr, 0.999)
        self._steps = 0

    def epoch(self) -> None:
        for chosen in self._rows.order():
            self._loss(self._rows.x[chosen], self._rows.y[chosen]).backward()
            self._update()

    def _loss(self, x: Tensor, y: Tensor) -> Tensor:
        x = x.expand(self.slots, -1, -1)
        with self._rows.mixed():
            for at in range(0, len(self._weights), 2):
                x = torch.baddbmm(self._weights[at + 1], x, self._weights[at])
                x = F.leaky_relu(x) if at + 2 < len(self._weights) else x
            y = y.expand(self.slots, -1)
            return F.cross_entropy(x.flatten(0, 1), y.flatten(), reduction="sum").div(self._rows.batch)

    @torch.no_grad()
    def _update(self) -> None:
        self._steps += 1
        for weight, (m, v) in zip(self._weights, self._moments, strict=True):
            gradient = weight.grad
            assert gradient is not None
            m.mul_(self._beta1).add_((1 - self._beta1) * gradient)
            v.mul_(self._beta2).add_((1 - self._beta2) * gradient * gradient)
            first, second = 1 - self._beta1**self._steps, 1 - self._beta2**self._steps
            weight.sub_(self._lr * (m / first) / ((v / second).sqrt() + 1e-8))
            weight.grad = None
