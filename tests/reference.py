"""The oracle: one trial in plain `torch.nn` and `torch.optim`, sharing with the package only the named draws.

It trains one slot the way a tutorial would: `nn.Sequential`, a loss module, `loss.backward()`, `optimizer.step()`.
Widths are not padded, nothing is batched over trials, gradients come from autograd alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from search.data import Data
from search.train import streams

ACTIVATIONS = {"leaky_relu": nn.LeakyReLU, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def build(widths: tuple[int, ...], activation: str, seed: int, replicate: int, dtype: torch.dtype) -> nn.Sequential:
    """A multilayer perceptron whose parameters are torch's default distribution on the named draws."""
    modules: list[nn.Module] = []
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        linear = nn.Linear(inputs, outputs, dtype=dtype)
        for name, shape in (("weight", (inputs, outputs)), ("bias", (outputs,))):
            stream = streams.key(seed, replicate, "init", f"{layer}.{name}", *shape)
            unit = streams.uniform(stream, int(torch.tensor(shape).prod()), dtype=dtype).view(shape)
            value = (2 * unit - 1) / inputs**0.5
            with torch.no_grad():
                getattr(linear, name).copy_(value.T if name == "weight" else value)
        modules += [linear, ACTIVATIONS[activation]()]
    return nn.Sequential(*modules[:-1])


def train(
    data: Data,
    *,
    widths: tuple[int, ...],
    epochs: int,
    batch_size: int,
    optimiser: Callable[[Any], torch.optim.Optimizer],
    activation: str = "leaky_relu",
    loss: str = "cross_entropy",
    penalty: Callable[[list[nn.Parameter]], Tensor] | None = None,
    after_backward: Callable[[nn.Sequential], None] | None = None,
    after_step: Callable[[nn.Sequential], None] | None = None,
    rate: Callable[[int], float] | None = None,
    seed: int = 0,
    replicate: int = 0,
    dtype: torch.dtype = torch.float64,
) -> tuple[nn.Sequential, list[Mapping[str, float]]]:
    """One trial, and what it measured at the end of each epoch."""
    model = build(widths, activation, seed, replicate, dtype)
    criterion = {
        "cross_entropy": nn.CrossEntropyLoss,
        "mse": nn.MSELoss,
        "l1": nn.L1Loss,
        "huber": nn.HuberLoss,
    }[loss]()
    x, y, x_val, y_val = (t if t.dtype == torch.int64 else t.to(dtype) for t in _tensors(data))
    opt = optimiser(model.parameters())
    base = opt.param_groups[0]["lr"]
    curves = []
    step = 0
    for epoch in range(epochs):
        order = streams.permutation(streams.key(seed, replicate, "order", epoch), len(x))
        total, terms = 0.0, []
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            opt.zero_grad()
            data_loss = criterion(model(x[batch]), y[batch])
            total += data_loss.item() * len(batch)
            objective = data_loss
            if penalty is not None:
                term = penalty(list(model.parameters()))
                terms.append(term.item())
                objective = objective + term
            objective.backward()
            if after_backward is not None:
                after_backward(model)
            if rate is not None:
                opt.param_groups[0]["lr"] = base * rate(step)
            opt.step()
            if after_step is not None:
                with torch.no_grad():
                    after_step(model)
            step += 1
        with torch.no_grad():
            out = model(x_val)
            measured = {"train_loss": total / len(x), "val_loss": criterion(out, y_val).item()}
            if data.task == "classification":
                measured["val_accuracy"] = (out.argmax(1) == y_val).double().mean().item()
            else:
                assert data.targets is not None
                measured["val_rmse"] = ((out - y_val) * data.targets.scale).square().mean().sqrt().item()
            flat = torch.cat([p.flatten() for p in model.parameters()])
            measured["sparsity"] = (flat.abs() < 1e-6).double().mean().item()
            measured["weight_norm"] = flat.norm().item()
            if penalty is not None:
                measured["train_objective"] = measured["train_loss"] + sum(terms) / len(terms)
                measured["val_objective"] = measured["val_loss"] + penalty(list(model.parameters())).item()
        curves.append(measured)
    return model, curves


def _tensors(data: Data) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return data.x_train, data.y_train, data.x_val, data.y_val
