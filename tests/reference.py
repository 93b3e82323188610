"""The oracle: it trains one trial in plain `torch.nn` and `torch.optim`, from the package's named draws.

It trains one slot the way a tutorial would: `nn.Sequential`, a loss, `loss.backward()`, `optimizer.step()`. Widths are
not padded, nothing is batched over trials, and gradients come from autograd alone. A technique's test case writes what
the technique adds in the same plain terms: modules, an extra loss term, something after the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from search.data import Data
from search.train import streams

ACTIVATIONS = {"leaky_relu": nn.LeakyReLU, "relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}
LOSSES = {"cross_entropy": F.cross_entropy, "mse": F.mse_loss, "l1": F.l1_loss, "huber": F.huber_loss}


def stored(width: int) -> int:
    """Return the width for which draws are made: the next multiple of 16, of which the rest is not used."""
    return -(-width // 16) * 16


@dataclass
class Draws:
    """The named random draws of one trial, at the current epoch, step and forward pass."""

    seed: int
    replicate: int
    dtype: torch.dtype
    epoch: int = 0
    step: int = 0
    forward: int = 0

    def _named(self, draw: Callable[..., Tensor], technique: str, name: str, shape: Sequence[int]) -> Tensor:
        purpose = (technique, name, self.epoch, self.step, self.forward)
        return draw(streams.key(self.seed, self.replicate, *purpose), prod(shape), dtype=self.dtype).view(*shape)

    def uniform(self, technique: str, name: str, *shape: int) -> Tensor:
        return self._named(streams.dense_uniform, technique, name, shape)

    def normal(self, technique: str, name: str, *shape: int) -> Tensor:
        return self._named(streams.normal, technique, name, shape)

    def unit(self, name: str, *shape: int) -> Tensor:
        """Return the uniform draws of a parameter's initialisation; weights are ``inputs x outputs``."""
        stream = streams.key(self.seed, self.replicate, "init", name, *shape)
        return streams.uniform(stream, prod(shape), dtype=self.dtype).view(shape)


class Dropout(nn.Module):
    """`torch.nn.Dropout` whose mask comes from named draws: a unit is dropped where its draw is below p."""

    def __init__(self, name: str, p: float, draws: Draws) -> None:
        super().__init__()
        self.name, self.p, self.draws = name, p, draws

    def forward(self, h: Tensor) -> Tensor:
        if not self.training:
            return h
        draws = self.draws.uniform("dropout", self.name, len(h), stored(h.shape[1]))[:, : h.shape[1]]
        return h * (draws >= self.p) / (1 - self.p)


def sequential(
    widths: tuple[int, ...], activation: str, draws: Draws, modules: Callable[[int, int], list[nn.Module]] | None = None
) -> nn.Sequential:
    """Build a multilayer perceptron, initialised by torch's default distribution from the named draws."""
    layers: list[nn.Module] = []
    for layer, (inputs, outputs) in enumerate(pairwise(widths)):
        linear = nn.Linear(inputs, outputs, dtype=draws.dtype)
        with torch.no_grad():
            linear.weight.copy_((2 * draws.unit(f"{layer}.weight", inputs, outputs).T - 1) / inputs**0.5)
            linear.bias.copy_((2 * draws.unit(f"{layer}.bias", outputs) - 1) / inputs**0.5)
        layers.append(linear)
        if layer < len(widths) - 2:
            layers += [ACTIVATIONS[activation](), *(modules(layer + 1, outputs) if modules is not None else [])]
    return nn.Sequential(*layers)


def train(
    data: Data,
    *,
    widths: tuple[int, ...],
    epochs: int,
    batch_size: int,
    optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
    activation: str = "leaky_relu",
    loss: str = "cross_entropy",
    modules: Callable[[int, int], list[nn.Module]] | None = None,
    build: Callable[[nn.Sequential], nn.Sequential] | None = None,
    init: Callable[[nn.Sequential], None] | None = None,
    rows: Callable[[Tensor], Tensor] | None = None,
    inputs: Callable[[Tensor], Tensor] | None = None,
    targets: Callable[[Tensor], Tensor] | None = None,
    extra_loss: Callable[[Callable[[Tensor], Tensor], Tensor, Tensor], Tensor] | None = None,
    penalty: Callable[[list[nn.Parameter]], Tensor] | None = None,
    again: Callable[[nn.Sequential, Tensor, Callable[[Tensor], Any]], None] | None = None,
    after_backward: Callable[[nn.Sequential], None] | None = None,
    rate: Callable[[int], float] | None = None,
    after_step: Callable[[nn.Sequential], None] | None = None,
    evaluated: Callable[[nn.Sequential], list[nn.Sequential]] | None = None,
    metrics: Callable[[nn.Sequential], Mapping[str, float]] | None = None,
    after_epoch: Callable[[Mapping[str, float]], bool] | None = None,
    seed: int = 0,
    replicate: int = 0,
    dtype: torch.dtype = torch.float64,
    draws: Draws | None = None,
) -> tuple[nn.Sequential, list[dict[str, float]]]:
    """Train one trial, and return the network and the metrics of each epoch.

    Args:
        modules: a function of a hidden layer's number (from 1) and width, which returns the modules that follow its
            activation.
        build: a function that builds another network of the same modules.
        rows: a function that picks the training rows from all rows in random order.
        inputs: a function that changes the features of a training minibatch.
        targets: a function that changes the targets of a training minibatch, one-hot ones of classes.
        extra_loss: a function of a further training pass, the minibatch's features and the predictions, which returns
            a loss term.
        again: a function that takes further passes after the first backward pass, and leaves the gradient of the step.
            It gets the model, the minibatch's features with their gradient, and the training loss as a function of
            features, whose passes have the same draws.
        rate: a function of the step since the start, which returns a factor on every learning rate.
        evaluated: a function that returns the networks that predict together; the weights of the last one are measured,
            and it is returned in the end.
        after_epoch: a function of the epoch's metrics, which returns whether training stops.
        draws: the draws that the given modules and hooks use.
    """
    draws = draws or Draws(seed, replicate, dtype)
    model = sequential(widths, activation, draws, modules).to(dtype)
    if build is not None:
        model = build(model)
    if init is not None:
        with torch.no_grad():
            init(model)
    x, y, x_val, y_val = (t if t.dtype == torch.int64 else t.to(dtype) for t in _tensors(data))
    opt = optimiser(list(model.parameters()))
    base = [group["lr"] for group in opt.param_groups]
    used = torch.arange(len(x))
    if rows is not None:
        used = rows(streams.permutation(streams.key(seed, replicate, "rows"), len(x)))
    curves: list[dict[str, float]] = []
    step = 0

    def forward(features: Tensor) -> Tensor:
        out: Tensor = model(features)
        draws.forward += 1
        return out

    for epoch in range(epochs):
        model.train()
        order = used[streams.permutation(streams.key(seed, replicate, "order", epoch), len(used))]
        total, terms = 0.0, []
        for at, start in enumerate(range(0, len(order), batch_size)):
            draws.epoch, draws.step, draws.forward = epoch, at, 0
            batch = order[start : start + batch_size]
            features, truth = x[batch], y[batch]
            if inputs is not None:
                features = inputs(features)
            if targets is not None:
                truth = targets(truth if data.task == "regression" else F.one_hot(truth, data.outputs).to(dtype))
            opt.zero_grad()

            def objective(features: Tensor, truth: Tensor = truth) -> tuple[Tensor, Tensor | None]:
                """Return the loss of a minibatch, and what a technique adds to it."""
                out = forward(features)
                extra = extra_loss(forward, features, out) if extra_loss is not None else None
                if penalty is not None:
                    term = penalty(list(model.parameters()))
                    extra = term if extra is None else extra + term
                return LOSSES[loss](out, truth), extra

            features.requires_grad_(again is not None)
            data_loss, extra = objective(features)
            total += data_loss.item() * len(batch)
            if extra is not None:
                terms.append(extra.item())
            (data_loss if extra is None else data_loss + extra).backward()

            def once_more(other: Tensor) -> Any:
                draws.forward = 0
                return sum(part for part in objective(other) if part is not None)

            if again is not None:
                again(model, features, once_more)
            if after_backward is not None:
                after_backward(model)
            if rate is not None:
                for group, lr in zip(opt.param_groups, base, strict=True):
                    group["lr"] = lr * rate(step)
            opt.step()
            if after_step is not None:
                with torch.no_grad():
                    after_step(model)
            step += 1
        networks = [model] if evaluated is None else evaluated(model)
        measured = {"train_loss": total / len(order)} | _evaluate(networks, data, x_val, y_val, loss, penalty)
        if terms:
            measured["train_objective"] = measured["train_loss"] + sum(terms) / len(terms)
        if rate is not None:
            measured["lr"] = max(group["lr"] for group in opt.param_groups)
        if metrics is not None:
            with torch.no_grad():
                measured |= metrics(networks[-1])
        curves.append(measured)
        if after_epoch is not None and after_epoch(measured):
            break
    return networks[-1], curves


@torch.no_grad()
def _evaluate(
    networks: list[nn.Sequential], data: Data, x: Tensor, y: Tensor, loss: str, penalty: Any
) -> dict[str, float]:
    model = networks[-1]
    each = torch.stack([network.eval()(x) for network in networks])
    if len(networks) == 1:
        out = each[0]
    else:
        out = each.softmax(-1).mean(0).log() if data.task == "classification" else each.mean(0)
    measured = {"val_loss": LOSSES[loss](out, y).item()}
    if data.task == "classification":
        measured["val_accuracy"] = (out.argmax(1) == y).double().mean().item()
    else:
        assert data.targets is not None
        measured["val_rmse"] = ((out - y) * data.targets.scale).square().mean().sqrt().item()
    flat = torch.cat([p.flatten() for p in model.parameters()])
    measured["sparsity"] = (flat.abs() < 1e-6).double().mean().item()
    measured["weight_norm"] = flat.norm().item()
    if penalty is not None:
        measured["val_objective"] = measured["val_loss"] + penalty(list(model.parameters())).item()
    return measured


def _tensors(data: Data) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return data.x_train, data.y_train, data.x_val, data.y_val
